"""``MemoryEdge``: a typed link between two memories. Built, added and handed out like ``MemoryNode``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec

from memorygraph import checks
from memorygraph.actors.commands import StrengthenEdges
from memorygraph.core.fields import Field
from memorygraph.events.errors import FrozenViewError, InputError
from memorygraph.events.records import EdgeRevised
from memorygraph.events.types import LIMITS, EdgeType
from memorygraph.home import Home
from memorygraph.plain import plain_copy
from memorygraph.projections.frame import EdgeState, edge_id, parse_edge_id


class MemoryEdge:
    """A link from one memory to another.

    Args:
        source_id, target_id: ids of the two nodes, which must differ.
        edge_type: an ``EdgeType`` or its name.
        weight: strength, 0..1 (clipped), kept in single precision.
        confidence: 0..1 (clipped), kept in single precision.
        directed: False: it holds both ways, and is still one edge.
        metadata: plain data.
        edge_id: a chosen id; else it gets ``position.ordinal`` when it is added.
    """

    __slots__ = ("_birth", "_home", "_position", "_state")

    def __init__(
        self,
        source_id: str,
        target_id: str,
        edge_type: EdgeType | str = EdgeType.ASSOCIATION,
        weight: float = 1.0,
        confidence: float = 1.0,
        directed: bool = True,
        metadata: Mapping[str, Any] | None = None,
        edge_id: str | None = None,
    ) -> None:
        if source_id == target_id:
            raise InputError(f"an edge needs two different nodes; {source_id!r} cannot be linked to itself")
        self._home: Home | None = None
        self._position: int | None = None
        self._birth: int | None = None
        self._state = EdgeState(
            id="" if edge_id is None else _chosen_id(edge_id),
            source_id=checks.identifier("source_id", source_id),
            target_id=checks.identifier("target_id", target_id),
            edge_type=EdgeType.of(edge_type).code,
            weight=checks.number("weight", weight, 0.0, 1.0),
            directed=bool(directed),
            confidence=checks.number("confidence", confidence, 0.0, 1.0),
            metadata=checks.metadata(metadata, LIMITS),
        )

    @classmethod
    def _view(cls, state: EdgeState, home: Home, position: int) -> Self:
        edge = object.__new__(cls)
        edge._state = state
        edge._home = home
        edge._position = None if home.engine.in_transaction else position
        edge._birth = None
        return edge

    def _now(self) -> EdgeState:
        if self._home is not None and self._position is None:
            return self._home.edge(self.id)[0]
        return self._state

    @property
    def id(self) -> str:
        """The chosen id, or ``position.ordinal``; empty for a built edge that was not added."""
        return self._state.id if self._state.id or self._birth is None else edge_id(self._birth)

    @property
    def position(self) -> int | None:
        """The position that this view is true at; None for an edge that you built, or were given in a transaction."""
        return self._position

    @property
    def source_id(self) -> str:
        """Where it starts."""
        return self._state.source_id

    @property
    def target_id(self) -> str:
        """Where it ends."""
        return self._state.target_id

    edge_type: Field[EdgeType] = Field("What it says.", EdgeType.from_code)
    weight: Field[float] = Field("Strength, 0..1.")
    confidence: Field[float] = Field("How sure it is, 0..1.")
    metadata: Field[dict[str, Any]] = Field("Its metadata (a copy).", plain_copy)

    @property
    def effective_weight(self) -> float:
        """Weight times confidence."""
        state = self._now()
        return state.weight * state.confidence

    @property
    def directed(self) -> bool:
        """False: it holds both ways."""
        return self._state.directed

    def hebbian_update(self, delta: float = 0.05, decay: float = 0.01) -> MemoryEdge:
        """Strengthen by Hebb's rule, w += delta (1 - w) - decay w. Return the new view (a built edge: itself).

        Args:
            delta, decay: 0..1 (clipped).
        """
        delta = checks.number("delta", delta, 0.0, 1.0)
        decay = checks.number("decay", decay, 0.0, 1.0)
        if self._home is None:
            weight = self._state.weight
            updated = min(1.0, max(0.0, weight + delta * (1.0 - weight) - decay * weight))
            self._state = msgspec.structs.replace(self._state, weight=updated)
            return self
        self._home.execute(StrengthenEdges(ids=[self.id], delta=delta, decay=decay))
        return MemoryEdge._view(*_with_home(self._home, self.id))

    def to_dict(self) -> dict[str, Any]:
        """Return its values as plain data for JSON."""
        state = self._now()
        return {
            "id": self.id,
            "source_id": state.source_id,
            "target_id": state.target_id,
            "edge_type": self.edge_type.value,
            "weight": state.weight,
            "confidence": state.confidence,
            "directed": state.directed,
            "metadata": self.metadata,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Return an edge of ``to_dict``'s values; it keeps a chosen id, and gets another in place of one given by us.

        Raises:
            InputError: it is no such data, or a value cannot be used.
        """
        if not isinstance(data, Mapping) or not {"source_id", "target_id"} <= data.keys():
            raise InputError(f"an edge's data is a dict with source_id and target_id, not {checks.shown(data)}")
        given = {name: data[name] for name in (*_CHECKS, "directed") if name in data}
        name = data.get("id")
        is_chosen = isinstance(name, str) and name and parse_edge_id(name) is None
        return cls(data["source_id"], data["target_id"], **given, edge_id=name if is_chosen else None)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MemoryEdge):
            return NotImplemented
        return self.id == other.id and self._now() == other._now()

    def __hash__(self) -> int:
        return hash((self._state.source_id, self._state.target_id))

    def __repr__(self) -> str:
        arrow = "->" if self._state.directed else "--"
        kind = EdgeType.from_code(self._state.edge_type).value
        return f"MemoryEdge({self.source_id!r} {arrow} {self.target_id!r}, {kind}, {self._state.weight:.3g})"

    def _assign(self, name: str, value: Any) -> None:
        if self._home is not None:
            raise FrozenViewError(
                f"this edge belongs to a memory; use memory.revise_edge({self.id!r}, {name}=...) to change it",
                id=self.id,
            )
        self._state = msgspec.structs.replace(self._state, **{name: _CHECKS[name](value)})

    def _added_to(self, home: Home, birth: int, name: str) -> None:
        """From now on read through to the graph; a view stays what it is."""
        if self._position is None:
            self._home = home
            self._birth = birth
            if name:  # drawn, in a transaction
                self._state = msgspec.structs.replace(self._state, id=name)

    def _draft(self) -> EdgeState:
        """The values to add; an id that told where the edge was made is left behind."""
        state = self._now()
        return state if parse_edge_id(state.id) is None else msgspec.structs.replace(state, id="")


def edge_revision(name: str, fields: Mapping[str, Any]) -> EdgeRevised:
    """Return the event that replaces fields of an edge, checked.

    Raises:
        InputError: no field, an unknown one, or a value that cannot be used.
    """
    unknown = sorted(set(fields) - set(_CHECKS))
    if unknown or not fields:
        problem = f"an edge has no field {unknown[0]!r} to revise" if unknown else "there is no field to revise"
        raise InputError(f"{problem}; it has {', '.join(_CHECKS)}")
    return EdgeRevised(
        id=checks.identifier("edge", name), **{key: _CHECKS[key](value) for key, value in fields.items()}
    )


def _with_home(home: Home, name: str) -> tuple[EdgeState, Home, int]:
    state, position = home.edge(name)
    return state, home, position


def _chosen_id(given: Any) -> str:
    name = checks.identifier("edge_id", given)
    if parse_edge_id(name) is not None:
        raise InputError(f"edge_id {name!r} has the form of ids that the memory gives; choose another")
    return name


_CHECKS: dict[str, Any] = {
    "edge_type": lambda value: EdgeType.of(value).code,
    "weight": lambda value: checks.number("weight", value, 0.0, 1.0),
    "confidence": lambda value: checks.number("confidence", value, 0.0, 1.0),
    "metadata": lambda value: checks.metadata(value, LIMITS),
}
