"""The words that events are written in: enums and their wire codes, partitions, limits.

An enum travels as its integer ``code``; its ``value`` is the name people read. A code that this release does not
know becomes a nameless member ("unknown-17") that keeps its code, so that newer logs stay readable.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple, Self

from memorygraph.events.errors import InputError

CODE_MAX = 255  # codes are kept in a byte
DIM_MAX = 65_536  # dimensions of a vector space


class CodedEnum(Enum):
    """An enum whose members have a readable ``value`` and a wire ``code``."""

    code: int

    def __new__(cls, code: int, label: str) -> Self:
        """Make the member ``label`` with its wire code."""
        member = object.__new__(cls)
        member._value_ = label
        member.code = code
        return member

    @classmethod
    def from_code(cls, code: int) -> Self:
        """Return the member with that wire code, or a nameless one that keeps it."""
        for member in cls:
            if member.code == code:
                return member
        unknown = object.__new__(cls)
        unknown._name_ = f"UNKNOWN_{code}"
        unknown._value_ = f"unknown-{code}"
        unknown.code = code
        return unknown

    @classmethod
    def of(cls, given: Self | str) -> Self:
        """Return the member for a member, its value or its name (any case).

        Raises:
            InputError: there is no such member; the message lists them.
        """
        if isinstance(given, cls) and 0 <= given.code <= CODE_MAX:
            return given
        if isinstance(given, str):
            for member in cls:
                if given.lower() in (member.value, member.name.lower()):
                    return member
        choices = ", ".join(member.value for member in cls)
        raise InputError(f"{given!r} is no {cls.__name__}; use one of: {choices}", given=repr(given))

    def __reduce_ex__(self, protocol: object) -> tuple[object, ...]:
        return type(self).from_code, (self.code,)


class MemoryType(CodedEnum):
    """What kind of memory a node is (Tulving's systems, plus working, sensory and prospective memory)."""

    EPISODIC = 1, "episodic"
    SEMANTIC = 2, "semantic"
    WORKING = 3, "working"
    PROCEDURAL = 4, "procedural"
    SENSORY = 5, "sensory"
    PROSPECTIVE = 6, "prospective"


class EdgeType(CodedEnum):
    """What an edge from A to B says."""

    ASSOCIATION = 1, "association"
    CAUSAL = 2, "causal"
    TEMPORAL = 3, "temporal"
    HIERARCHICAL = 4, "hierarchical"
    SIMILARITY = 5, "similarity"
    CONTRADICTS = 6, "contradicts"
    COMPOSITIONAL = 7, "compositional"
    EMOTIONAL = 8, "emotional"
    EPISODIC_LINK = 9, "episodic_link"
    INFERENCE = 10, "inference"
    OPPOSITION = 11, "opposition"
    COREFERENCE = 12, "coreference"


class ConsolidationState(CodedEnum):
    """How settled a memory is."""

    LABILE = 1, "labile"
    CONSOLIDATING = 2, "consolidating"
    CONSOLIDATED = 3, "consolidated"
    LONG_TERM = 4, "long_term"
    RECONSOLIDATING = 5, "reconsolidating"
    EARLY_LTP = 6, "early_ltp"
    LATE_LTP = 7, "late_ltp"
    ARCHIVED = 8, "archived"


class DecayFunction(CodedEnum):
    """The forgetting curve of a memory."""

    EBBINGHAUS = 1, "ebbinghaus"
    POWER_LAW = 2, "power_law"
    EXPONENTIAL = 3, "exponential"
    HYPERBOLIC = 4, "hyperbolic"
    STEPPED = 5, "stepped"
    NO_DECAY = 6, "no_decay"


class ReviewModel(CodedEnum):
    """What says when a memory is to be reviewed."""

    FSRS = 1, "fsrs"
    FSRS6 = 2, "fsrs6"
    SM2 = 3, "sm2"
    EBBINGHAUS = 4, "ebbinghaus"
    POWER_LAW = 5, "power_law"


class WorkingMemorySlot(CodedEnum):
    """The parts of working memory (Baddeley, 2000): two loops, the episodic buffer, the focus of attention."""

    PHONOLOGICAL = 1, "phonological"
    VISUOSPATIAL = 2, "visuospatial"
    EPISODIC = 3, "episodic"
    CENTRAL = 4, "central"


class Scope(CodedEnum):
    """Who may see a memory: its owner, the owner's room, or everyone."""

    PRIVATE = 1, "private"
    SHARED = 2, "shared"
    PUBLIC = 3, "public"


class Partition(NamedTuple):
    """Where a node lives: the code of its ``Scope`` and the name of the owner or room ('' for PUBLIC)."""

    scope: int = 3
    name: str = ""


class Limits(NamedTuple):
    """Sizes above which input is refused by name; override by passing your own.

    Bytes are those of UTF-8 and of the encoded form; a command is what one call writes, a frame what is synced at once.
    ``past_bytes_max`` refuses nothing: it is what views of the past may hold beside what they share with the present.
    """

    content_bytes_max: int = 1 << 20
    tags_max: int = 64
    metadata_bytes_max: int = 64 << 10
    k_max: int = 10_000
    hops_max: int = 8
    command_bytes_max: int = 8 << 20
    command_events_max: int = 4096
    frame_bytes_max: int = 16 << 20
    past_bytes_max: int = 256 << 20


LIMITS = Limits()
