"""From a text to the terms that an index counts: words, folded, stemmed, without function words.

Pure, and but for step 3 the same for memories and questions. A text is cut at white space, and each piece goes
through these steps:

1. Unicode NFKC; soft hyphens, joiners and variation selectors vanish; curly apostrophes and hyphens become plain ones.
2. Clitics are split off ("Alice's" is Alice, "we'll" is we) and negated auxiliaries ("don't") are dropped.
3. Han, kana and Hangul have no spaces between words: each run becomes its overlapping pairs of characters
   (東京都 gives 東京 and 京都), a run of one character itself. Of a memory also each Han character counts, as many
   are words (a question for 猫); of a question only those that stand alone, as its pairs say more.
4. Elsewhere a word is a run of letters, digits and combining marks. Words joined by one of ``. / ' -`` or by
   underscores, and words in CamelCase, are indexed by their parts and, written together, as a whole:
   ``remember_many``, ``rememberMany`` and ``remember-many`` all give *remember*, *many* and *remembermany* (stemmed).
5. Case folding, at most 64 characters, stop words out (English), Snowball stemming; then Latin letters lose their
   accents (*Zurich* finds *Zürich*), which stemmers need.

Emoji and other symbols give no terms. Thai, Lao, Khmer and Burmese, which are written without spaces too, would need a
dictionary to be cut into words; a run of them counts as one word.
"""

from __future__ import annotations

import re
import string
import threading
import unicodedata
from functools import cache, lru_cache
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import Stemmer

from memorygraph.events.errors import InputError
from memorygraph.projections.stopwords import ENGLISH

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RULES_VERSION = 3
"""Raised whenever the steps above or a stop list change: an index made by other rules is rebuilt."""

STEMMERS: dict[str, str | None] = {
    "ar": "arabic", "ca": "catalan", "cs": "czech", "da": "danish", "de": "german", "el": "greek", "en": "english",
    "eo": "esperanto", "es": "spanish", "et": "estonian", "eu": "basque", "fa": "persian", "fi": "finnish",
    "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian", "hy": "armenian", "id": "indonesian",
    "it": "italian", "ja": None, "ko": None, "lt": "lithuanian", "ne": "nepali", "nl": "dutch", "no": "norwegian",
    "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "st": "sesotho",
    "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish", "zh": None,
}  # fmt: skip
"""Language (ISO 639-1) to the name of its Snowball algorithm; None where words are not inflected by endings."""

_WORD_CHARS_MAX = 64  # longer words are cut there (hashes, base64): a term must not cost as much as its text
_CACHED_WORDS_MAX = 1 << 16
_Value = TypeVar("_Value")
_CACHED_QUERY_WORDS_MAX = 4096

_CLEAN = {
    **dict.fromkeys((0x00AD, 0x200C, 0x200D, 0x2060, 0xFE0E, 0xFE0F)),  # invisible: None deletes
    0x02BC: "'",
    0x2010: "-",
    0x2019: "'",
}
_CLITIC = re.compile(r"\b\w{1,6}n't\b|(?<=\w)'(?:s|d|m|ll|re|ve)\b", re.IGNORECASE)  # bounded: \w+ would be quadratic
_CJK_RUN = re.compile(
    "(["
    "\u1100-\u11ff\u3130-\u318f\uac00-\ud7ff"  # Hangul
    "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"  # kana, without the middle dot
    "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Han
    "]+)"
)
_HAN = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_JOINT = re.compile(r"[_./'-]+|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_MARGINS = string.punctuation.replace("_", "")  # ASCII that is no part of a word at its ends


class Analyzer:
    """Cuts texts of one language into terms; immutable, and safe to share between threads.

    ``version`` names everything that the terms depend on: an index made under another version must be rebuilt.
    Words seen before come from bounded caches.

    Raises:
        InputError: no such language; the message lists the known ones.
    """

    def __init__(self, language: str = "en") -> None:
        self.language = language
        self._stemmer = _stemmer_of(language)
        self._stemmer_lock = threading.Lock()  # a stemmer keeps the word it works on in itself
        self._stop_words = ENGLISH if language == "en" else frozenset[str]()
        self._term = _Cache(self._make_term).__getitem__
        self._piece_terms = _Cache(self._make_piece_terms).__getitem__
        self._piece_words = lru_cache(_CACHED_QUERY_WORDS_MAX)(self._make_piece_words)
        made_by = f"unicode-{unicodedata.unidata_version} snowball-{Stemmer.version()}"
        self.version = f"rules-{RULES_VERSION} {made_by} {language}"

    def terms(self, text: str) -> list[str]:
        """Return the terms of a text in its order, repeated as often as they occur."""
        pieces = text.split()
        is_short = len(text) <= _WORD_CHARS_MAX or max(map(len, pieces), default=0) <= _WORD_CHARS_MAX
        return list(chain.from_iterable(map(self._piece_terms if is_short else self.terms_of_piece, pieces)))

    def terms_of_piece(self, piece: str) -> tuple[str, ...]:
        """Return the terms of a piece of text without white space."""
        return self._piece_terms(piece) if len(piece) <= _WORD_CHARS_MAX else self._make_piece_terms(piece)

    def words(self, text: str) -> dict[str, str]:
        """Return each different term of a text, in order, with the first spelling that it came from."""
        spelling: dict[str, str] = {}
        for piece in text.split():
            cached = len(piece) <= _WORD_CHARS_MAX
            for term, word in self._piece_words(piece) if cached else self._make_piece_words(piece):
                spelling.setdefault(term, word)
        return spelling

    def _make_piece_terms(self, piece: str) -> tuple[str, ...]:
        bare = piece.strip(_MARGINS)
        if bare.isascii() and bare.isalpha() and (bare.islower() or bare[1:].islower() or bare.isupper()):
            term = self._term(_fold(bare))  # one plain word, as most are: the short way to the same
            return (term,) if term else ()
        return tuple(term for _, folded in _cut(piece, is_memory=True) if (term := self._term(folded)))

    def _make_piece_words(self, piece: str) -> tuple[tuple[str, str], ...]:
        return tuple((term, word) for word, folded in _cut(piece) if (term := self._term(folded)))

    def _make_term(self, folded: str) -> str:
        """Return the stem of a folded word, or nothing for a stop word."""
        if folded in self._stop_words:
            return ""
        if self._stemmer is None:
            return folded
        with self._stemmer_lock:
            stem = self._stemmer.stemWord(folded) or folded
        return stem if stem.isascii() else _without_accents(stem)


class _Cache(dict[str, _Value]):
    """What a function makes of some words; begun anew when full. Half the time of an ``lru_cache``."""

    def __init__(self, make: Callable[[str], _Value]) -> None:
        self._make = make

    def __missing__(self, word: str) -> _Value:
        value = self._make(word)
        if len(self) >= _CACHED_WORDS_MAX:
            self.clear()
        self[word] = value
        return value


@cache
def analyzer_for(language: str) -> Analyzer:
    """Return the analyzer of a language, one per process: its caches serve every memory.

    Raises:
        InputError: no such language; the message lists the known ones.
    """
    return Analyzer(language)


def _stemmer_of(language: str) -> Stemmer.Stemmer | None:
    if language not in STEMMERS:
        raise InputError(
            f"No text analysis for the language {language!r}. Known ISO 639-1 codes: {', '.join(sorted(STEMMERS))}.",
            language=language,
        )
    algorithm = STEMMERS[language]
    return None if algorithm is None else Stemmer.Stemmer(algorithm, 0)  # words are cached here, not there


def _cut(piece: str, *, is_memory: bool = False) -> Iterator[tuple[str, str]]:
    """Yield the words of a piece without white space: as written, and folded (steps 1-4 of the head, and folding)."""
    text = unicodedata.normalize("NFKC", piece).translate(_CLEAN)
    text = _CLITIC.sub("", text)
    for index, run in enumerate(_CJK_RUN.split(text)):
        if index % 2:  # split() gives what its group matched at the odd places
            for start in range(max(1, len(run) - 1)):
                pair = run[start : start + 2]
                yield pair, pair
            if is_memory and len(run) > 1:
                yield from ((letter, letter) for letter in _HAN.findall(run))
        else:
            for match in _compound_pattern().finditer(run):
                yield from _parts_and_whole(match[0])


def _parts_and_whole(compound: str) -> Iterator[tuple[str, str]]:
    parts = [part for part in _JOINT.split(compound) if part]
    for part in parts:
        yield part, _fold(part)
    if len(parts) > 1:
        yield compound, _fold("".join(parts))


def _fold(word: str) -> str:
    if word.isascii():
        return word.lower()[:_WORD_CHARS_MAX]
    folded = unicodedata.normalize("NFKC", word.casefold())
    return folded.replace("i\u0307", "i")[:_WORD_CHARS_MAX]  # what casefold makes of the dotted capital I


def _without_accents(word: str) -> str:
    """Return a word whose Latin letters have no accents; those of other scripts, where a mark is more, stay."""
    kept: list[str] = []
    for letter in unicodedata.normalize("NFD", word):
        if not (unicodedata.combining(letter) and kept and kept[-1].isascii()):
            kept.append(letter)
    return unicodedata.normalize("NFC", "".join(kept))


@cache
def _compound_pattern() -> re.Pattern[str]:
    r"""Return the pattern of words and joined words; ``\w`` alone would cut Devanagari at its vowel signs.

    Made on first use: looking for the combining marks takes 20 ms.
    """
    marks = (chr(code) for code in range(0x0300, 0x20000) if unicodedata.category(chr(code)) in {"Mn", "Mc"})
    word = rf"[\w{''.join(marks)}]+"
    return re.compile(rf"{word}(?:[./'-]{word})*")
