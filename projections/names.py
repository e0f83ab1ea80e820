"""What a text names: people, places, works and things, by their capital letters, quotation marks and titles.

Pure, like ``text.py``: part of what an index depends on, so a change raises ``RULES_VERSION``.

- A name is a run of capitalised words, also across small words ("Duke of York") and before numbers ("Apollo 11"). What
  is joined by small words is also given in parts (Duke, York). Function words, greetings, months and days are not
  names; nor is a single word that only begins a sentence.
- A short quotation is a name.
- The title of a text is its first line, if more follows. A title is a name whatever its letters: the text is about it.
  Names in a title, and what stands in its brackets, are nearly so. Of a signature, ``def f(x)``, only f counts.
- The speaker of a turn is named by it.

Names are compared by their keys: letters folded (case, diacritics), "the" and 's left out.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import Final

from memorygraph.projections.stopwords import ENGLISH, INTERJECTIONS, TIMES

RULES_VERSION: Final = 1
"""Raised whenever the steps above change."""

MENTIONED: Final = 1
TITLED: Final = 2
DEFINED: Final = 3
"""How close a text is to a name: it mentions it, has it in its title, has it as its title."""

TITLE_CHARS_MAX: Final = 120
_NAME_CHARS_MAX: Final = 80  # longer runs are headlines and shouting
_CACHED_MAX: Final = 1 << 15

_LINKS: Final = (
    "of|the|de|la|le|du|des|da|do|di|del|della|van|von|der|den|af|av|al|el|bin|ibn|y|e|and|&|for|to|in|on|at|a|an|with"
    "|from"
)
_SPLIT: Final = re.compile(r" (?:and|&|of|in|for|to|on|at|with|from|by) (?:the )?")
NO_NAMES: Final = ENGLISH | INTERJECTIONS | TIMES
_LINK_WORDS: Final = frozenset(_LINKS.split("|"))
_NOT_ALONE: Final = NO_NAMES | _LINK_WORDS
_WORD: Final = re.compile(r"\w+(?:['\u2019.\-]\w+)*|&")
_CLITIC: Final = re.compile(r"['\u2019](?:s|d|m|ll|re|ve)?$", re.IGNORECASE)
_DROPPED: Final = str.maketrans("", "", ".'\u2019")
_QUOTED: Final = re.compile(r"[\"\u201c]([^\"\u201c\u201d\n]{2,60})[\"\u201d]")
_BRACKETED: Final = re.compile(r"\s*[(\[]([^)\]]*)[)\]]")
_CALLED: Final = re.compile(r"([\w.]+)\(")  # a signature: the name stands before the bracket
_JOINTS: Final = re.compile(r", | [-\u2013\u2014>/] |: ")
_BEYOND_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_SENTENCE_ENDS: Final = frozenset(".!?:\u2026\n")
_SKIPPED: Final = frozenset(" \t\"'\u201c\u201d\u2018\u2019(*_#>-")
_SHORT: Final = 2  # letters of a key that says too little


def fold(word: str) -> str:
    """Return a word without case and diacritics."""
    if word.isascii():
        return word.lower()
    parts = unicodedata.normalize("NFKD", word.casefold())
    return "".join(letter for letter in parts if not unicodedata.combining(letter))


def key_of(words: list[str]) -> str:
    """Return the key of a name given as words; empty if nothing is left of them."""
    folded = [key for word in words if (key := _key_of_word(word))]
    if len(folded) > 1 and folded[0] in {"the", "a", "an"}:
        del folded[0]
    return " ".join(folded)


@lru_cache(_CACHED_MAX)
def _key_of_word(word: str) -> str:
    return fold(_bare(word)).translate(_DROPPED)


@lru_cache(_CACHED_MAX)
def _is_no_name(word: str) -> bool:
    return word.isdigit() or fold(_bare(word)) in NO_NAMES


def _bare(word: str) -> str:
    return word if word.isalnum() else _CLITIC.sub("", word)


def words_of(text: str) -> list[str]:
    """Return the words of a text as names are made of them."""
    return _WORD.findall(text)


def title_of(text: str) -> str:
    """Return the title of a text: its first line if more follows; else nothing."""
    title, _, rest = text.partition("\n")
    return title.strip() if len(title) <= TITLE_CHARS_MAX and rest and not rest.isspace() else ""


def names_in(text: str, speaker: str | None = None) -> dict[str, int]:
    """Return the keys of what a text names, each with how close it is: ``MENTIONED``, ``TITLED`` or ``DEFINED``."""
    found: dict[str, int] = {}
    if speaker and (key := key_of(words_of(speaker))):
        found[key] = MENTIONED
    title = title_of(text)
    for match in _name_pattern_for(text).finditer(text, len(title)):
        keys = _keys_of_run(match[0])
        if keys and not (keys[1] and _begins_sentence(text, match.start())):
            for key in keys[0]:
                found.setdefault(key, MENTIONED)
    if '"' in text or "\u201c" in text:
        for match in _QUOTED.finditer(text):
            if len(key := key_of(words_of(match[1]))) > _SHORT:
                found.setdefault(key, MENTIONED)
    if title:
        keys_titled, defined = _keys_of_title(title)
        found.update(dict.fromkeys(keys_titled, TITLED))
        if defined:
            found[defined] = DEFINED
    return found


def _begins_sentence(text: str, start: int) -> bool:
    place = start - 1
    while place >= 0 and text[place] in _SKIPPED:
        place -= 1
    return place < 0 or text[place] in _SENTENCE_ENDS


@lru_cache(_CACHED_MAX)
def _keys_of_run(run: str) -> tuple[tuple[str, ...], bool] | None:
    """Return the keys of a run of capitalised words, and whether it is one word alone; None if it is no name."""
    if run.isalpha() and run.isascii():  # the short way for one plain word
        key = run.lower()
        return None if len(key) < _SHORT or key in _NOT_ALONE else ((key,), True)
    if len(run) > _NAME_CHARS_MAX:
        return None
    if run.isascii() and run.replace(" ", "").isalpha():  # the short way for plain words
        words = run.lower().split()
        had = len(words)
        while words and words[0] in NO_NAMES:
            del words[0]
        while words and (words[-1] in _LINK_WORDS or words[-1] in TIMES):
            del words[-1]
        key = " ".join(words)
    else:
        words = words_of(run)
        had = len(words)
        while words and _is_no_name(words[0]):
            del words[0]
        while words and (words[-1].lower() in _LINK_WORDS or fold(words[-1]) in TIMES):
            del words[-1]
        key = key_of(words)
    if len(key) < _SHORT:
        return None
    return tuple(dict.fromkeys([key, *_parts(key)])), len(words) == had == 1


def _parts(key: str) -> list[str]:
    parts = _SPLIT.split(key) if " " in key else ()
    return [part for part in parts if len(part) > _SHORT and part not in NO_NAMES] if len(parts) > 1 else []


@lru_cache(_CACHED_MAX)
def _keys_of_title(title: str) -> tuple[tuple[str, ...], str]:
    """Return the keys of the names in a title, and the key of the title itself."""
    called = _CALLED.search(title)
    if called:
        return (), key_of([called[1]])
    if title.isascii() and title.istitle() and title.replace(" ", "").isalpha():  # the short way for plain words
        words = title.split()
        run, defined = _keys_of_run(title), key_of(words)
        return tuple(key for key in run[0] if key != defined) if run else (), defined
    bare = _BRACKETED.sub("", title)
    defined = key_of(words_of(bare))
    pieces = [*_JOINTS.split(bare), *_BRACKETED.findall(title)]
    keys = [key for piece in pieces if len(key := key_of(words_of(piece))) > _SHORT]
    for match in _name_pattern_for(title).finditer(title):
        run = _keys_of_run(match[0])
        keys += run[0] if run else ()
    return tuple(dict.fromkeys(key for key in keys if key != defined)), defined


def _name_pattern_for(text: str) -> re.Pattern[str]:
    """Return the pattern of runs of capitalised words, the one that finds three times as fast if it will do."""
    beyond = () if text.isascii() else _BEYOND_ASCII.findall(text)
    return _name_pattern(0x20000 if any(map(_is_upper, beyond)) else 0x80)


@cache
def _name_pattern(stop: int) -> re.Pattern[str]:
    """Return the pattern with the capital letters below a code point; made on first use, because it looks at all."""
    upper = _ranges([code for code in range(stop) if _is_upper(chr(code))])
    word = rf"(?:[{upper}]\.(?=\s?[{upper}])|(?:Dr|Mr|Mrs|Ms|St|Prof|Mt|Ft)\.|[{upper}]\w*(?:['\u2019.&-]\w+)*)"
    gap = rf"[ \u00a0]*(?:[ \u00a0](?:{_LINKS})[ \u00a0]+){{0,2}}"
    return re.compile(rf"(?<!\w){word}(?:{gap}(?:(?<=[ \u00a0.]){word})|[ \u00a0]\d{{1,4}}\b)*")


def _is_upper(letter: str) -> bool:
    return letter.isupper() or letter.istitle()


def _ranges(codes: list[int]) -> str:
    """Write ascending codes as the inside of a character class."""
    parts: list[list[int]] = []
    for code in codes:
        if parts and parts[-1][1] == code - 1:
            parts[-1][1] = code
        else:
            parts.append([code, code])
    return "".join(f"{re.escape(chr(low))}-{re.escape(chr(high))}" for low, high in parts)
