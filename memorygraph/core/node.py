"""``MemoryNode``: one memory.

A node that you build is a plain value: its attributes can be assigned. After ``graph.add_node(node)`` the object reads
through to the graph. A node that the memory hands out is a frozen view at its ``position``: assigning raises and names
``revise``; its mutators write to the memory and return the new view. What is handed out in a transaction has no
position yet, and reads through to the memory: after a rollback, a node that was added there is not found.
"""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from memorygraph import checks
from memorygraph.actors.commands import ReinforceNodes, ReviseNodes
from memorygraph.core.fields import Field
from memorygraph.core.measures import NodeMeasures
from memorygraph.events.errors import ExpectationFailed, FrozenViewError, InputError
from memorygraph.events.ports import RandomIds
from memorygraph.events.records import NodeAdded, NodeRevised
from memorygraph.events.types import LIMITS, ConsolidationState, DecayFunction, Limits, MemoryType, Partition, Scope
from memorygraph.home import Home
from memorygraph.plain import plain_copy
from memorygraph.projections.frame import NodeState
from memorygraph.projections.usage import ACCESS_TIMES_MAX
from memorygraph.times import Expiry, TimeLike, expiry_us, to_seconds, to_us

_IDS = RandomIds()
_OCCURRED = 1  # flags whose negative is the birth of a built node: its event time was given
_HISTORY = 2  # and when it was recorded, and recalled since
EDITS_MAX = 6


def _seconds_or_none(time_us: int | None) -> float | None:
    return None if time_us is None else to_seconds(time_us)


class TemporalInfo(NamedTuple):
    """When a memory was recorded, when it happened and when it was recalled; Unix seconds."""

    created_at: float
    occurred_at: float
    last_accessed: float
    access_count: int
    access_times: tuple[float, ...]


class MemoryNode(NodeMeasures):
    """One memory: a text with its kind, weight, feeling, vector and labels.

    Args:
        content: the text; may be empty for a node that only stands for something.
        memory_type: a ``MemoryType`` or its name.
        embedding: vector, shape (dim,), finite.
        importance: 0..1; like all ranges here, values outside are clipped.
        tags: labels.
        emotional_valence: -1..1.
        confidence: 0..1.
        consolidation_state, decay_function: members or names.
        decay_rate: base stability in hours.
        metadata: plain data.
        node_id: a chosen id; else one is made.
        occurred_at: when it happened (default: when it is recorded).
        speaker, session, source: who said it, in which conversation, where it was taken from.
        expires_at: from when on it is forgotten: a time, or a ``timedelta`` from now (default: never).

    Raises:
        InputError: a value that cannot be used; the message says which and why.
    """

    __slots__ = ("_home", "_position", "_state")

    def __init__(
        self,
        content: str = "",
        memory_type: MemoryType | str = MemoryType.SEMANTIC,
        embedding: Any = None,
        importance: float = 0.5,
        tags: Iterable[str] | None = None,
        emotional_valence: float = 0.0,
        confidence: float = 1.0,
        consolidation_state: ConsolidationState | str = ConsolidationState.LABILE,
        decay_function: DecayFunction | str = DecayFunction.EBBINGHAUS,
        decay_rate: float = 1.0,
        metadata: Mapping[str, Any] | None = None,
        node_id: str | None = None,
        *,
        occurred_at: TimeLike | None = None,
        speaker: str | None = None,
        session: str | int | None = None,
        source: str | None = None,
        expires_at: Expiry | None = None,
        limits: Limits = LIMITS,
    ) -> None:
        now_us = time.time_ns() // 1000
        self._home: Home | None = None
        self._position: int | None = None
        self._state = NodeState(
            id=_IDS.node_id() if node_id is None else checks.identifier("node_id", node_id),
            content=checks.content(content, limits, empty=True),
            memory_type=MemoryType.of(memory_type).code,
            importance=checks.number("importance", importance, 0.0, 1.0),
            emotional_valence=checks.number("emotional_valence", emotional_valence, -1.0, 1.0),
            confidence=checks.number("confidence", confidence, 0.0, 1.0),
            consolidation_state=ConsolidationState.of(consolidation_state).code,
            decay_function=DecayFunction.of(decay_function).code,
            decay_rate=checks.decay_rate(decay_rate),
            tags=checks.tags(tags, limits),
            metadata=checks.metadata(metadata, limits),
            created_us=now_us,
            occurred_us=now_us if occurred_at is None else to_us(occurred_at),
            accessed_us=now_us,
            access_count=0,
            access_times_us=(),
            speaker=checks.optional_text("speaker", speaker),
            session=checks.session(session),
            source=checks.optional_text("source", source),
            partition=Partition(),
            birth=0 if occurred_at is None else -_OCCURRED,
            version=0,
            vector=checks.vector(embedding),
            expires_us=expiry_us(expires_at),
        )

    @classmethod
    def _view(cls, state: NodeState, home: Home, position: int) -> Self:
        node = object.__new__(cls)
        node._state = state
        node._home = home
        node._position = None if home.engine.in_transaction else position
        return node

    def _now(self) -> NodeState:
        """The values: this view's, or, for a built node that was added, the graph's."""
        if self._home is not None and self._position is None:
            return self._home.node(self._state.id)[0]
        return self._state

    def _vector_of(self, state: NodeState) -> bytes:
        """The vector that goes with values of ``_now``."""
        if state.vector is not None:
            return state.vector
        assert self._home is not None  # a view from a long list, which carries no vectors
        assert self._position is not None
        return self._home.vector(state, self._position)

    @property
    def id(self) -> str:
        """The node's id."""
        return self._state.id

    @property
    def position(self) -> int | None:
        """The position that this view is true at; None for a node that you built, or were given in a transaction."""
        return self._position

    @property
    def version(self) -> int:
        """The position of the last change of its content or fields: what ``expected=`` is compared with."""
        return self._now().version

    content: Field[str] = Field("The text.")
    memory_type: Field[MemoryType] = Field("What kind of memory it is.", MemoryType.from_code)
    importance: Field[float] = Field("Base importance, 0..1.")
    emotional_valence: Field[float] = Field("Emotional tone, -1..1.")
    confidence: Field[float] = Field("How sure it is, 0..1.")
    consolidation_state: Field[ConsolidationState] = Field("How settled it is.", ConsolidationState.from_code)
    decay_function: Field[DecayFunction] = Field("Its forgetting curve.", DecayFunction.from_code)
    decay_rate: Field[float] = Field("Base stability in hours.")
    tags: Field[list[str]] = Field("Its labels (a copy).", list)
    metadata: Field[dict[str, Any]] = Field("Its metadata (a copy).", plain_copy)
    speaker: Field[str | None] = Field("Who said it.")
    session: Field[str | int | None] = Field("The conversation it belongs to.")
    source: Field[str | None] = Field("Where it was taken from.")
    occurred_at: Field[float] = Field("When it happened, Unix seconds.", to_seconds, "occurred_us")

    expires_at: Field[float | None] = Field(
        "From when on it is forgotten, Unix seconds; None: never.", _seconds_or_none, "expires_us"
    )

    @property
    def created_at(self) -> float:
        """When it was recorded, Unix seconds."""
        return to_seconds(self._now().created_us)

    @property
    def owner(self) -> str | None:
        """The agent of a pool whose memory it is; None: nobody's in particular."""
        return self._now().owner

    @property
    def scope(self) -> Scope:
        """Who may see it: its owner, a room, or everyone."""
        return Scope.from_code(self._now().partition.scope)

    @property
    def room(self) -> str | None:
        """The room that it is shared with; None if it is not SHARED."""
        return self._now().partition.name if self.scope is Scope.SHARED else None

    @property
    def access_count(self) -> int:
        """How often it was recalled."""
        return self._now().access_count

    @property
    def temporal(self) -> TemporalInfo:
        """All its times, in Unix seconds."""
        state = self._now()
        return TemporalInfo(
            to_seconds(state.created_us),
            to_seconds(state.occurred_us),
            to_seconds(state.accessed_us),
            state.access_count,
            tuple(to_seconds(time_us) for time_us in state.access_times_us),
        )

    @property
    def embedding(self) -> NDArray[np.float32] | None:
        """The vector, shape (dim,), read-only; None if it has none."""
        vector = self._vector_of(self._now())
        return np.frombuffer(vector, dtype="<f4") if vector else None

    @embedding.setter
    def embedding(self, value: Any) -> None:
        self._assign("embedding", value)

    def has_tag(self, tag: str) -> bool:
        """Whether it has a label."""
        return tag in self._now().tags

    def get_meta(self, key: str, default: Any = None) -> Any:
        """Return one value of its metadata."""
        return self.metadata.get(key, default)

    def reinforce(self, delta: float = 0.1) -> MemoryNode:
        """Raise importance: I += delta (1 - I), delta in 0..1 (clipped). Return the new view (a built node: itself)."""
        delta = checks.number("delta", delta, 0.0, 1.0)
        if self._home is None:
            self._set(importance=self._state.importance + delta * (1.0 - self._state.importance))
            return self
        self._home.execute(ReinforceNodes(ids=[self.id], delta=delta, settles_from=self._home.settles_from))
        return self._renewed()

    def add_tag(self, tag: str) -> MemoryNode:
        """Add a label. Return the new view (a built node: itself)."""
        return self._change(lambda state: {"tags": [*state.tags, tag]})

    def remove_tag(self, tag: str) -> MemoryNode:
        """Take a label away, if it has it. Return the new view (a built node: itself)."""
        return self._change(lambda state: {"tags": [kept for kept in state.tags if kept != tag]})

    def set_meta(self, key: str, value: Any) -> MemoryNode:
        """Set one value of its metadata. Return the new view (a built node: itself)."""
        return self._change(lambda state: {"metadata": {**state.metadata, key: value}})

    def clone(self, new_id: bool = True) -> MemoryNode:
        """Return a node that you may change, with all that this one has: its times, too.

        Args:
            new_id: give it an id of its own; else it can only be added to another graph.
        """
        state, vector = self._now(), self.embedding
        node = object.__new__(type(self))
        node._home = node._position = None
        node._state = msgspec.structs.replace(
            state,
            id=_IDS.node_id() if new_id else state.id,
            vector=b"" if vector is None else vector.tobytes(),
            metadata=plain_copy(state.metadata),
            birth=-(_OCCURRED | _HISTORY),
            version=0,
        )
        return node

    def to_dict(self) -> dict[str, Any]:
        """Return all its values as plain data for JSON; times are Unix seconds."""
        state, vector = self._now(), self.embedding
        return {
            "id": state.id,
            "content": state.content,
            "memory_type": self.memory_type.value,
            "importance": state.importance,
            "emotional_valence": state.emotional_valence,
            "confidence": state.confidence,
            "consolidation_state": self.consolidation_state.value,
            "decay_function": self.decay_function.value,
            "decay_rate": state.decay_rate,
            "tags": list(state.tags),
            "metadata": self.metadata,
            "speaker": state.speaker,
            "session": state.session,
            "source": state.source,
            "created_at": to_seconds(state.created_us),
            "occurred_at": to_seconds(state.occurred_us),
            "expires_at": _seconds_or_none(state.expires_us),
            "access_count": state.access_count,
            "access_times": [to_seconds(time_us) for time_us in state.access_times_us],
            "version": state.version,
            "embedding": None if vector is None else vector.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return a node of ``to_dict``'s values, with its times; what is left out has the default.

        Raises:
            InputError: it is no such data, or a value cannot be used.
        """
        if not isinstance(data, Mapping) or "content" not in data:
            raise InputError(f"a node's data is a dict with at least its content, not {checks.shown(data)}")
        given = {name: data[name] for name in _ASSIGNABLE & data.keys()}
        node = cls(**given, node_id=data.get("id"))
        if "created_at" in data:
            times_us = tuple(sorted(map(to_us, checks.several("access_times", data.get("access_times", ())))))
            created_us = to_us(data["created_at"])
            node._state = msgspec.structs.replace(
                node._state,
                created_us=created_us,
                occurred_us=to_us(data["occurred_at"]) if "occurred_at" in data else created_us,
                accessed_us=max(times_us, default=created_us),
                access_count=checks.count("access_count", data.get("access_count", 0), 0, 2**32 - 1),
                access_times_us=times_us[-ACCESS_TIMES_MAX:],
                birth=-(_OCCURRED | _HISTORY),
            )
        return node

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MemoryNode):
            return NotImplemented
        mine, theirs = self._now(), other._now()
        if None in (mine.vector, theirs.vector):  # a view from a long list, which carries no vectors
            mine, theirs = msgspec.structs.replace(mine, vector=None), msgspec.structs.replace(theirs, vector=None)
        return mine == theirs

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        state = self._state
        return f"MemoryNode({state.id!r}, {textwrap.shorten(state.content, 60, placeholder='...')!r})"

    def _assign(self, name: str, value: Any) -> None:
        if self._home is not None:
            raise FrozenViewError(
                f"this node belongs to a memory; use memory.revise({self.id!r}, {name}=...) to change it", id=self.id
            )
        self._set(**{name: value})

    def _set(self, **fields: Any) -> None:
        checked = _checked_fields(fields, LIMITS)
        if "occurred_us" in checked:
            is_given = checked["occurred_us"] is not None
            checked["birth"] = -(-self._state.birth & ~_OCCURRED | is_given * _OCCURRED)
            checked["occurred_us"] = checked["occurred_us"] if is_given else self._state.created_us
        self._state = msgspec.structs.replace(self._state, **checked)

    def _change(self, edit: Callable[[NodeState], dict[str, Any]]) -> MemoryNode:
        """Edit the fields as they are in the memory now; an edit of somebody else's meanwhile is not overwritten."""
        home = self._home
        if home is None:
            self._set(**edit(self._state))
            return self
        for attempts_left in reversed(range(EDITS_MAX)):
            state, _ = home.node(self.id)
            change = revision(self.id, edit(state), home.limits)
            try:
                home.execute(ReviseNodes(changes=[change], expected=[state.version]))
                break
            except ExpectationFailed:
                if not attempts_left:
                    raise
        return self._renewed()

    def _renewed(self) -> MemoryNode:
        assert self._home is not None
        state, position = self._home.node(self.id)
        return MemoryNode._view(state, self._home, position)

    def _added_to(self, home: Home) -> None:
        """From now on read through to the graph; a view stays what it is."""
        if self._position is None:
            self._home = home

    def _event(self, home: Home) -> NodeAdded:
        """The event that adds this node to a memory; sent again to the same one, it says the same again."""
        again = self._home is home and self._position is None
        state = self._state if again else self._now()
        vector = (state.vector or b"") if again else self._vector_of(state)
        if state.content:
            checks.content(state.content, home.limits)
        said = _OCCURRED if state.birth > 0 else -state.birth
        history = state if said & _HISTORY else None
        return NodeAdded(
            id=state.id,
            content=state.content,
            memory_type=state.memory_type,
            importance=state.importance,
            emotional_valence=state.emotional_valence,
            confidence=state.confidence,
            consolidation_state=state.consolidation_state,
            decay_function=state.decay_function,
            decay_rate=state.decay_rate,
            tags=state.tags,
            metadata=state.metadata,
            occurred_us=state.occurred_us if said & _OCCURRED else None,
            speaker=state.speaker,
            session=state.session,
            source=state.source,
            vector=vector,
            expires_us=state.expires_us,
            recorded_us=None if history is None else history.created_us,
            access_count=0 if history is None else history.access_count,
            access_times_us=() if history is None else history.access_times_us,
        )


def revision(node_id: str, fields: Mapping[str, Any], limits: Limits) -> NodeRevised:
    """Return the event that replaces fields of a node, checked.

    Raises:
        InputError: no field, an unknown one, or a value that cannot be used.
    """
    if not fields:
        raise InputError("revise needs at least one field to change, such as content=...")
    return NodeRevised(id=checks.identifier("id", node_id), **_checked_fields(fields, limits))


def _checked_fields(fields: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    unknown = sorted(set(fields) - _ASSIGNABLE)
    if unknown:
        raise InputError(f"a memory has no field {unknown[0]!r} to revise; it has {', '.join(sorted(_ASSIGNABLE))}")
    checked: dict[str, Any] = {}
    for name, value in fields.items():
        stored, check = _FIELDS[name]
        checked[stored] = check(value, limits)
    return checked


def _occurred(given: Any, _: Limits) -> int | None:
    return None if given is None else to_us(given)


# Field -> its name in events, and its check.
_FIELDS: dict[str, tuple[str, Any]] = {
    "content": ("content", checks.content),
    "memory_type": ("memory_type", lambda value, _: MemoryType.of(value).code),
    "importance": ("importance", lambda value, _: checks.number("importance", value, 0.0, 1.0)),
    "emotional_valence": ("emotional_valence", lambda value, _: checks.number("emotional_valence", value, -1.0, 1.0)),
    "confidence": ("confidence", lambda value, _: checks.number("confidence", value, 0.0, 1.0)),
    "consolidation_state": ("consolidation_state", lambda value, _: ConsolidationState.of(value).code),
    "decay_function": ("decay_function", lambda value, _: DecayFunction.of(value).code),
    "decay_rate": ("decay_rate", lambda value, _: checks.decay_rate(value)),
    "tags": ("tags", checks.tags),
    "metadata": ("metadata", checks.metadata),
    "occurred_at": ("occurred_us", _occurred),
    "speaker": ("speaker", lambda value, _: checks.optional_text("speaker", value)),
    "session": ("session", lambda value, _: checks.session(value)),
    "source": ("source", lambda value, _: checks.optional_text("source", value)),
    "embedding": ("vector", lambda value, _: checks.vector(value)),
    "expires_at": ("expires_us", lambda value, _: expiry_us(value)),
}
_ASSIGNABLE = frozenset(_FIELDS)
