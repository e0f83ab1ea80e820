"""What a facade shares with the nodes and edges it hands out: the engine, the author, and how to write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from memorygraph import checks
from memorygraph.actors.commands import Command, GetEdges, GetNodes, Receipt
from memorygraph.actors.engine import Engine
from memorygraph.author import Author
from memorygraph.embeddings import Embedders
from memorygraph.events.errors import EdgeNotFoundError, InputError, NodeNotFoundError
from memorygraph.events.ports import Clock, IdSource, RandomIds, SystemClock
from memorygraph.events.records import SpaceDeclared
from memorygraph.events.types import LIMITS, Limits
from memorygraph.projections.frame import EdgeState, NodeState


class Home:
    """One memory as its facade, nodes and edges see it."""

    def __init__(
        self,
        engine: Engine,
        *,
        author: Author | None = None,
        limits: Limits = LIMITS,
        embedders: Embedders | None = None,
        clock: Clock | None = None,
        ids: IdSource | None = None,
        listeners: list[Callable[[], None]] | None = None,
    ) -> None:
        self.engine = engine
        self.author = author or Author()
        self.limits = limits
        self.embedders = embedders or Embedders()
        self.clock = clock or SystemClock()
        self.ids = ids or RandomIds()
        self.settles_from: float | None = None  # from which importance on a reinforced memory consolidates
        self.listeners = [] if listeners is None else listeners  # called when something was written

    @property
    def space(self) -> SpaceDeclared | None:
        """The space of the embedder in use; vectors given by hand are taken to be of it."""
        return self.embedders.space

    def execute(self, *operations: Any, command_id: str | None = None, id_chosen: bool = True) -> Receipt:
        """Send operations as one command under the given id, or a new one.

        Args:
            id_chosen: False: the id was drawn by us for this very command, in part by number.
        """
        if command_id is not None and self.engine.in_transaction:
            raise InputError("what is done in a transaction has no command id of its own; give it to transaction()")
        name = self.ids.command_id() if command_id is None else checks.identifier("command_id", command_id)
        command = Command(
            id=name,
            operations=operations,
            principal=self.author.principal,
            provenance=self.author.provenance(),
            id_chosen=id_chosen and command_id is not None,
        )
        receipt = self.engine.execute(command)
        self._tell()
        return receipt

    def _tell(self) -> None:
        if self.listeners and not self.engine.in_transaction:
            for listener in list(self.listeners):
                listener()

    def accessed(self, ids: list[str]) -> None:
        """Note that nodes were recalled now; recorded soon, best effort."""
        author = self.author
        self.engine.accessed(ids, self.clock.now_us(), principal=author.principal, provenance=author.provenance())

    @contextmanager
    def transaction(self, command_id: str | None) -> Iterator[None]:
        """Let what this thread does be one record, or nothing."""
        name = None if command_id is None else checks.identifier("command_id", command_id)
        author = self.author
        with self.engine.transaction(command_id=name, principal=author.principal, provenance=author.provenance()):
            yield
        self._tell()

    def node(self, node_id: str) -> tuple[NodeState, int]:
        """Return a node's values and the position they are true at.

        Raises:
            NodeNotFoundError: there is no such node.
        """
        answer = self.engine.ask(GetNodes(ids=[node_id]))
        if answer.value[0] is None:
            raise NodeNotFoundError(f"there is no node {node_id!r} in this memory", id=node_id)
        return answer.value[0], answer.position

    def nodes(self, ids: list[str]) -> tuple[list[NodeState | None], int]:
        """Return the values of several nodes and the position they are true at."""
        answer = self.engine.ask(GetNodes(ids=ids))
        return answer.value, answer.position

    def vector(self, state: NodeState, position: int) -> bytes:
        """Return the vector that a node had when it was read at a position, without its vector."""
        question = GetNodes(ids=[state.id])
        found: NodeState | None = self.engine.ask(question).value[0]
        if found is None or found.version != state.version:
            found = self.engine.at(position).ask(question).value[0]
        return b"" if found is None else found.vector or b""

    def edge(self, edge_id: str) -> tuple[EdgeState, int]:
        """Return an edge's values and the position they are true at.

        Raises:
            EdgeNotFoundError: there is no such edge.
        """
        answer = self.engine.ask(GetEdges(ids=[edge_id]))
        if answer.value[0] is None:
            raise EdgeNotFoundError(f"there is no edge {edge_id!r} in this memory", id=edge_id)
        return answer.value[0], answer.position
