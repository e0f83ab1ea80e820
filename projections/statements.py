"""Statements in a text: who or what, in which respect, and the value, as far as a few rules can tell.

Only relations that hold one value at a time count ("lives in", "is scheduled for", "X's favourite colour is"), said of
the present in a short text. Questions, wishes, hearsay, past and temporary facts, and what is said to be one of several
("also", "another") are no statements. English only. What is not sure is left out: a contradiction that is missed costs
a rank, one that is not there hides what is true.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container
from typing import Final, NamedTuple

from memorygraph.projections.values import AMOUNT, CODE, NAME, TIME, WORD, Value, excludes, read_value

TEXT_CHARS_MAX: Final = 300
"""Longer texts tell, quote and compare: their sentences are not taken for statements."""
_DENIED: Final = "||"  # in the keys of what is or may be denied
_SENTENCES_MAX: Final = 6
_SUBJECT_WORDS_MAX: Final = 6


class Statement(NamedTuple):
    """One value of one relation of one subject."""

    key: str
    """Subject and relation, in a normal form."""
    value: Value
    """Empty if the statement only takes another back."""
    denies: bool = False
    """Whether it says that the key holds no longer."""
    is_change: bool = False
    """Whether it says itself that something changed ("now")."""
    kinds: frozenset[str] | None = None
    """Kinds of values that contradict without a word of change; None: none do."""
    kinds_changed: frozenset[str] | None = None
    """The same with such a word; None: any."""
    is_local: bool = False
    """Whether only its conversation says whom it means ("the timeout", "I" without a speaker)."""


def statements_of(text: str, speaker: str | None) -> list[Statement]:
    """Return the statements of a text, in order; "I" and "my" are the speaker's."""
    if len(text) > TEXT_CHARS_MAX:
        return []
    found = []
    for place, sentence in enumerate(_sentences(text, speaker)):
        if place and _THE.match(sentence):  # "the film" of the sentence before: which one, the words do not say
            continue
        words = sentence.lower().split()
        for keywords, read in _READERS:
            statement = None if keywords.isdisjoint(words) else read(sentence, speaker)
            if statement is not None:
                if not _UNSURE.search(sentence):
                    found.append(statement)
                break
    return found


def plain_claims(text: str, speaker: str | None, subjects: Container[str]) -> list[str]:
    """Return the sentences of a short text in the form that a denial ("no longer ...") is looked up by.

    Args:
        subjects: only what is said of these, which are subjects of denials (``denied_subject``).
    """
    if len(text) > TEXT_CHARS_MAX:
        return []
    claims = []
    for sentence in _sentences(text, speaker):
        named, _, rest = sentence.partition(" ")
        subject = named.lower()
        subject = _meaning(speaker).get(subject, subject) if subject in _SELVES else subject
        if rest and subject in subjects and not _UNSURE.search(sentence) and not _DENIAL.match(sentence):
            claims.append(_claim(subject, rest))
    return claims


def denied_subject(key: str) -> str:
    """Return of what something is denied, given the key of a statement; empty if it denies nothing."""
    subject, denied, _ = key.partition(_DENIED)
    return subject if denied else ""


def conflict(older: Statement, newer: Statement) -> bool | None:
    """Whether the newer of two statements with one key cannot be true together with the older; None: not sure."""
    if older.denies or newer.denies:
        return newer.denies and not older.denies
    excluded = excludes(older.value, newer.value)
    if not excluded:
        return excluded
    kinds = newer.kinds_changed if newer.is_change else newer.kinds or frozenset()
    return True if kinds is None or newer.value.kind in kinds else None


def _sentences(text: str, speaker: str | None) -> list[str]:
    if speaker and text.lower().startswith(f"{speaker.lower()}:"):
        text = text[len(speaker) + 1 :]
    parts = [" ".join(part.split()) for part in _END.split(text.replace("\u2019", "'"))]
    return [part.rstrip(".! ") for part in parts if part][:_SENTENCES_MAX]


def _relation(sentence: str, speaker: str | None) -> Statement | None:
    """Read "Alice lives in Paris"."""
    match = _RELATION.search(sentence)
    if match is None or not match.lastgroup:
        return None
    name, verb = match.lastgroup, match[0].lower().split()
    value_words = sentence[match.end() :].lstrip()
    if name == "move":  # a thing moves to another day, a person to another town
        name = "when" if _TIME_WORD.match(value_words) else "live_in"
    subject = _subject(sentence[: match.start()], speaker)
    if subject is None or (name == "live_in" and not value_words[:1].isupper()):
        return None
    if name in _TIMED and not _TIME_WORD.search(value_words):
        return None
    if name == "where":
        value_words = f"{verb[-1]} {value_words}"
    value = _value(value_words, is_time=name in _TIMED, is_clock=name in _CLOCKED)
    if not value:
        return None
    kinds, kinds_changed = _KINDS.get(name, (_ANY, None))
    if name == "when" and ("due" in verb or verb in _RECURRING):
        kinds = None
    return Statement(
        f"{subject}|{name}",
        value,
        is_change=bool((_REPLACED if name in _NEEDS_MORE else _CHANGE).search(sentence)),
        kinds=kinds,
        kinds_changed=kinds_changed,
        is_local=_is_local(sentence[: match.start()], speaker),
    )


def _attribute(sentence: str, speaker: str | None) -> Statement | None:
    """Read "Ann's favourite band is Queen", "my address is ...", "the CEO of Initech is ..."."""
    named, is_, value_words = sentence.partition(" is ")
    words = _CHANGE_WORD.sub(" ", named).split()
    head = words[: words.index("of")] if "of" in words else words
    if not is_ or not head or (noun := _noun(head)) not in _ATTRIBUTES:
        return None
    value = _value(value_words, is_time=noun in _TIME_ATTRIBUTES)
    subject = _subject(" ".join(words), speaker)
    if subject is None or not value:
        return None
    return Statement(
        f"{subject}|is",
        value,
        is_change=bool(_CHANGE.search(sentence)),
        kinds=_ANY if noun in _WORD_ATTRIBUTES else _ANY - {WORD},
        kinds_changed=_ANY | {"the", "a"} if noun in _WORD_ATTRIBUTES else _ANY - {WORD},
        is_local=_is_local(named, speaker),
    )


def _denial(sentence: str, speaker: str | None) -> Statement | None:
    """Read "Tom no longer plays the cello", "Mina is not vegetarian any more"."""
    match = _DENIAL.match(sentence)
    if match is None:
        return None
    subject = _subject(match["subject"], speaker)
    if subject is None:
        return None
    rest = next(part for part in map(match.__getitem__, ("rest1", "rest2", "rest3", "rest4")) if part is not None)
    verb = "is " if match["be"] or match["rest3"] else "works " if match["rest4"] else ""
    is_local = _is_local(match["subject"], speaker)
    return Statement(_claim(subject, verb + rest), Value(), denies=True, is_change=True, is_local=is_local)


def _claim(subject: str, rest: str) -> str:
    """A sentence as a key: the subject, then its other words without endings of verbs and fillers."""
    words = [word for word in _WORD.findall(_CHANGE_WORD.sub(" ", rest).lower()) if word not in _FILLERS]
    verb = _BE.get(words[0], re.sub(r"(?<=..)(?:es|s|e)$", "", words[0])) if words else ""
    return f"{subject}{_DENIED}{' '.join([verb, *words[1:]])}"


def _subject(words: str, speaker: str | None) -> str | None:
    """Return who or what a statement is about, in a normal form; None if it points at something said before."""
    kept = [word for word in words.lower().split() if word not in _ARTICLES and not _CHANGE_WORD.fullmatch(word)]
    if not 0 < len(kept) <= _SUBJECT_WORDS_MAX or kept[0] in _POINTING or _HEARSAY.intersection(kept):
        return None
    forms = _meaning(speaker)
    return " ".join([forms.get(word, word) for word in kept])


def _meaning(speaker: str | None) -> dict[str, str]:
    """Return whom a speaker means by "I" and the like."""
    me = (speaker or "I").lower()
    return {"i": me, "my": f"{me}'s", "i'm": me, "we": f"{me} & co", "our": f"{me} & co's", "us": f"{me} & co"}


def _is_local(subject: str, speaker: str | None) -> bool:
    """Whether the words for a subject mean another one in another conversation, unless a name is among them."""
    words = subject.split()
    first = words[0].lower() if words else ""
    if first in _SELVES and not speaker:
        return True
    return first in _DEFINITE and not any(word[0].isupper() or not word.isalpha() for word in words[1:])


def _value(words: str, *, is_time: bool = False, is_clock: bool = False) -> Value:
    """Return a value, up to where another clause begins; empty if it is too long to be one."""
    clause = _CHANGE_WORD.sub(" ", _CLAUSE.split(words, maxsplit=1)[0])
    return read_value(clause, is_time=is_time, is_clock=is_clock)


def _noun(head: list[str]) -> str:
    """The noun that an attribute's name ends in; with "favourite" before it, any noun will do."""
    lowered = [word.lower() for word in head]
    if {"favourite", "favorite"}.intersection(lowered[:-1]):
        return "favourite"
    return lowered[-1]


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_END: Final = re.compile(r"(?<=[.!?;])\s+|\n+")
_WORD: Final = re.compile(r"[\w@#%$€£+][\w@.:/#%$€£'+-]*(?<![.:'])|\d")
_CLAUSE: Final = re.compile(
    r",(?!\d)|[;(\u2013\u2014]|\s+(?:last|yesterday|recently|earlier)\b"
    r"|\s+(?:but|because|since|with|where|which|who|so|after|before|instead|and|as)\s",
    re.IGNORECASE,
)
_CHANGE_WORD: Final = re.compile(
    r"\b(?:now|currently|nowadays|these days|new|current|today|instead|again|back)\b", re.IGNORECASE
)
_CHANGE: Final = re.compile(
    r"\b(?:now|nowadays|no longer|any ?more|instead|again|switched|moved|migrated|renamed|relocated|changed|"
    r"transferred|postponed|rescheduled|pushed|delayed|brought forward|"
    r"(?:started|got) a (?:new )?job|started working)\b",
    re.IGNORECASE,
)
_REPLACED: Final = re.compile(r"\b(?:instead|switched|migrated)\b", re.IGNORECASE)
_UNSURE: Final = re.compile(
    r"\?|\b(?:[iI]f|would|could|might|should|[wW]ill|may|[mM]aybe|[pP]erhaps|[pP]robably|wants?|wanted|"
    r"(?:plans?|planned|planning|hopes?|hoping|trying|going) to|thinks?|thought|wish(?:es)?|dreams?|used to|"
    r"[fF]ormerly|[pP]reviously|until|[wW]hen|[wW]hile|[dD]uring|[bB]ack then|at the time|never|[sS]ometimes|[oO]ften|"
    r"[uU]sually|also|too|as well|both|[aA]nother|either|[aA] (?:second|third|few)|temporarily|years? ago|months? ago|"
    r"[iI]n (?:19|20)\d\d(?!-)|for (?:a|the|two|three|some|\d+) (?:day|night|week|weekend|month|summer|winter|year)s?|"
    r"(?:this|these) (?:day|week|weekend|month|morning|summer|winter)s?(?! on)|on weekends|every|"
    r"on (?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)days)\b"
)
_TIME_WORD: Final = re.compile(
    r"\d|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day|\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)|"
    r"\b(?:noon|midnight|tomorrow|next|week|month|morning|afternoon|evening|spring|summer|autumn|winter|one|two|three|"
    r"four|five|six|seven|eight|nine|ten|eleven|twelve)\b",
    re.IGNORECASE,
)
_ARTICLES: Final = _words("a an the very really just still already has have recently finally officially")
_FILLERS: Final = _ARTICLES | _words("now currently any more anymore")
_POINTING: Final = _words(
    "he she it they this that these those there here you who what which someone everyone one his her their its your "
    "everything something nobody some many most"
)
_SELVES: Final = frozenset(_meaning(None))
_HEARSAY: Final = _words("said says told thinks heard that who which and or if when because but claims asked")
_BE: Final = {"am": "be", "is": "be", "are": "be", "'m": "be"}
_DEFINITE: Final = _words("the a an")
_TIME_ATTRIBUTES: Final = _words("birthday deadline date time")
_WORD_ATTRIBUTES: Final = _words(
    "favourite name nickname role title password passcode pin username login status state timezone language "
    "priority severity location venue major date time colour color hometown"
)
"""Those whose values are plain words; of others a plain word says what they are like ("the boss is strict")."""
_ATTRIBUTES: Final = _words(
    "favourite name nickname number phone email e-mail mail address birthday age job role title boss manager "
    "supervisor password passcode pin code username login port host url status state deadline budget price cost fee "
    "rent salary wage version timeout default timezone owner leader lead ceo cto cfo president chair director captain "
    "coach capital location venue size weight height length capacity limit language priority severity room desk seat "
    "floor doctor dentist landlord hometown employer major date time colour color husband wife partner girlfriend "
    "boyfriend fiancé fiancée maintainer headquarters temperature balance score"
)
_THE: Final = re.compile(r"[Tt]he\s+(?:[a-z'-]+\s+)+?(?:is|are|was|has|[a-z]+s)\s")
_B: Final = (
    r"(?:is|are|am|'s|'m|was|has been|have been|got)\s+(?:(?:now|currently|just|recently|finally|officially)\s+)?"
)
_JOB: Final = rf"works?|{_B}working|started\s+(?:working|a\s+(?:new\s+)?job)|got\s+a\s+(?:new\s+)?job"
_RELATIONS: Final = {
    "move": rf"(?:moved|relocated|{_B}(?:moved|postponed|rescheduled|pushed|brought forward|delayed))(?:\s+back)?\s+to",
    "live_in": rf"(?:lives?|resides?|{_B}(?:living|based))\s+in",
    "work_at": rf"(?:{_JOB})\s+(?:at|for)",
    "work_as": rf"(?:{_JOB})\s+as",
    "study_at": rf"(?:study|studies|{_B}studying|transferred|{_B}enrolled)\s+(?:at|to)",
    "partner": rf"{_B}(?:married|engaged)\s+to|{_B}dating|{_B}in\s+a\s+relationship\s+with",
    "when": rf"{_B}(?:scheduled|planned|set|booked|due|rescheduled)\s+(?:for|on)|takes?\s+place\s+(?:on|at)|{_B}on",
    "starts": r"(?:starts?|begins?)\s+(?:at|on)",
    "ends": r"(?:ends?|finish(?:es)?)\s+(?:at|on)",
    "opens": r"opens?\s+at",
    "closes": r"closes?\s+at",
    "leaves": r"(?:leaves?|departs?)\s+at",
    "arrives": r"arrives?\s+at",
    "cost": rf"costs?|{_B}priced\s+at|sells?\s+for",
    "weigh": r"weighs?",
    "where": rf"{_B}(?:located|kept|stored|parked|hosted|deployed|installed)\s+(?:in|at|on|under|behind)",
    "port": r"(?:listens|runs|listening)\s+on\s+port",
    "runs_on": rf"runs?\s+on|{_B}migrated\s+to",
    "called": rf"{_B}(?:called|named|renamed(?:\s+to)?)",
    "led_by": rf"{_B}(?:led|headed|chaired)\s+by",
    "run_by": rf"{_B}(?:run|managed|directed)\s+by",
    "owned_by": rf"{_B}owned\s+by|belongs?\s+to",
    "maintained_by": rf"{_B}maintained\s+by",
    "assigned": rf"{_B}assigned\s+to",
    "report_to": r"reports?\s+to",
    "default": r"defaults?\s+to",
    "age": r"(?:is|am|turned)(?=\s+\d+(?:\s+years?\s+old)?$)",
    "drive": r"drives?",
    "use": r"uses?|switched\s+to",
    "prefer": r"prefers?",
    "play_for": r"plays?\s+for",
    "go_to": r"goes\s+to|attends?",
}
_TIMED: Final = _words("when starts ends opens closes leaves arrives")
_CLOCKED: Final = _TIMED - {"when"}
_NAMES: Final = frozenset({NAME, f"a {NAME}", f"the {NAME}"})
_ANY: Final = frozenset({NAME, CODE, AMOUNT, TIME, WORD})
_AMOUNTS: Final = frozenset({AMOUNT})
_KINDS: Final[dict[str, tuple[frozenset[str] | None, frozenset[str] | None]]] = {
    # Kinds of values that exclude each other, without and with a word of change. A town may lie in a country, a
    # service may have two ports, a train may leave twice: these need the word.
    "live_in": (None, frozenset({NAME})),
    "work_at": (None, None),
    "work_as": (None, None),
    "where": (frozenset({"in the", "on the", "under the", "behind the"}), None),
    "cost": (_AMOUNTS, _AMOUNTS),
    "weigh": (_AMOUNTS, _AMOUNTS),
    "port": (None, None),
    "leaves": (None, None),
    "arrives": (None, None),
    "runs_on": (None, _NAMES),
    "drive": (None, _NAMES),
    "use": (None, _NAMES),
    "prefer": (None, _ANY),
    "play_for": (None, _NAMES),
    "go_to": (None, _NAMES),
    "study_at": (_NAMES, _NAMES),
    "partner": (_NAMES, _NAMES),
    "report_to": (_NAMES, _NAMES),
    "assigned": (_NAMES, None),
    "owned_by": (_NAMES, _NAMES),
    "called": (_NAMES, _NAMES),
}
_RECURRING: Final = [[be, "on"] for be in ("is", "are", "am", "'s", "'m")]  # "the class is on Tuesday", and on Friday
_NEEDS_MORE: Final = _words("use prefer runs_on")
"""Relations where "now" may add a value; only a word of replacement ("switched to") contradicts."""
_RELATION: Final = re.compile(
    r"(?<=\s)(?:" + "|".join(f"(?P<{name}>{words})" for name, words in _RELATIONS.items()) + r")(?=\s)", re.IGNORECASE
)
_DENIAL: Final = re.compile(
    r"(?P<subject>(?:[\w'.&#-]+\s+){0,5}?[\w'.&#-]+)\s+(?:(?:(?P<be>is|am|are)\s+)?no\s+longer\s+(?P<rest1>.+)"
    r"|(?:doesn't|don't|does\s+not|do\s+not)\s+(?P<rest2>.+?)\s+any\s?more"
    r"|(?:(?:isn't|aren't|is\s+not|am\s+not|are\s+not)\s+)(?P<rest3>.+?)\s+(?:any\s?more|after\s+all)"
    r"|(?:quit|left|resigned\s+from)\s+(?:(?:his|her|their|my|our|the)\s+job\s+)(?P<rest4>(?:at|with)\s+.+))$",
    re.IGNORECASE,
)
_KEYWORDS: Final = _words(
    "live lives living reside resides based moved relocated postponed rescheduled pushed brought delayed work works "
    "migrated renamed "
    "working job study studies studying transferred enrolled married engaged dating relationship scheduled planned set "
    "booked due take takes on start starts begin begins end ends finish finishes open opens close closes leave leaves "
    "depart departs arrive arrives cost costs priced sell sells weigh weighs located kept stored parked hosted "
    "deployed installed listens listening runs run called named led managed owned headed chaired maintained directed "
    "assigned belong belongs report reports default defaults old turned drive drives use uses switched prefer prefers "
    "play plays goes attend attends"
)
"""Every relation has one of these words: a look into a set spares most sentences the search."""
_READERS: Final[tuple[tuple[frozenset[str], Callable[[str, str | None], Statement | None]], ...]] = (
    (_words("longer more anymore all quit left resigned"), _denial),
    (_KEYWORDS, _relation),
    (_words("is"), _attribute),
)
