"""What a question names: concepts that are known, and people who speak."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Final

from memorygraph.projections.names import NO_NAMES, key_of, words_of

WORDS_MAX: Final = 256  # of a question that are looked at
_NAME_WORDS_MAX: Final = 8
_WORD: Final = re.compile(r"[\w'\u2019]+")


class Named:
    """The words of a question, for looking up the longest names that are known."""

    def __init__(self, text: str) -> None:
        words = words_of(text)[:WORDS_MAX]
        self._keys = [key_of([word]) for word in words]
        self._words = words
        capitals = [not word[0].islower() and key not in NO_NAMES for word, key in zip(words, self._keys, strict=True)]
        # Without a capital after the first word it was typed in small letters, and any words may be a name.
        self._is_small = len(words) > 1 and not any(capitals[1:])
        self._names = [key not in NO_NAMES for key in self._keys] if self._is_small else capitals

    def doubtful(self, start: int, stop: int) -> str:
        """Return the word if a candidate is one word in small letters, which may just as well be no name; else ''."""
        return self._words[start] if self._is_small and stop - start == 1 and self._words[start].islower() else ""

    @cached_property
    def candidates(self) -> Sequence[tuple[int, int, str]]:
        """Return (start, stop, key) of what may be a name, the longest first."""
        found = []
        count = len(self._keys)
        for length in range(min(_NAME_WORDS_MAX, count), 0, -1):
            for start in range(count - length + 1):
                if any(self._names[start : start + length]):
                    key = " ".join(part for part in self._keys[start : start + length] if part)
                    found.append((start, start + length, key))
        return found


def without(text: str, keys: frozenset[str]) -> str:
    """Return a question without the words of some names; as it is if nothing else is left of it."""
    kept = [word for word in _WORD.findall(text) if key_of([word]) not in keys]
    return " ".join(kept) or text
