"""``SharedMemoryPool``: one memory for many agents, each of which sees its own, its room's and what is public."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NoReturn, Self

from memorygraph import checks
from memorygraph.actors.commands import MoveNodes
from memorygraph.actors.sight_queries import Census
from memorygraph.actors.viewing import ViewEngine
from memorygraph.agent import AgentMemory
from memorygraph.audit import NOTHING, AuditEntry
from memorygraph.core.node import MemoryNode
from memorygraph.drafts import id_of
from memorygraph.embeddings import Embedder
from memorygraph.events.errors import InputError, NodeNotFoundError, NotOwnerError
from memorygraph.events.types import Partition, Scope
from memorygraph.hits import Hits
from memorygraph.hooks import Hooks
from memorygraph.projections.sight import Viewer

__all__ = ["AgentView", "Scope", "SharedMemoryPool"]

DEFAULT_ROOM: Final = "default"


class AgentView(AgentMemory):
    """A pool's memory as one agent sees it; made by ``SharedMemoryPool.agent``.

    It has all that ``AgentMemory`` has. What the agent may not see is not there: it is in no result, count, statistic,
    walk or score, and not in the log, the history or the past as it reads them. Memories of others that it sees may be
    recalled and linked; only their owner changes, shares or forgets them, and a link is changed or removed by who owns
    an end of it (else ``NotOwnerError``).
    """

    def __init__(self, memory: AgentMemory, name: str, room: str) -> None:
        viewer = Viewer(agent=checks.identifier("name", name), room=checks.identifier("room", room))
        twin = memory._seen_through(ViewEngine(memory._engine, viewer), memory._home.author.but(name, None))
        self.__dict__.update(twin.__dict__)
        self._live = self._home
        self._hooks = Hooks(self._home)

    @property
    def agent(self) -> str:
        """The agent's name."""
        return self._viewer.agent

    @property
    def room(self) -> str:
        """The room that it shares memories with."""
        return self._viewer.room

    def remember(self, *args: Any, scope: Scope | str = Scope.PRIVATE, **fields: Any) -> MemoryNode:
        """Remember a text, as ``AgentMemory.remember``, for the agent alone, its room (SHARED) or everyone (PUBLIC)."""
        return AgentMemory.remember(self._adding(scope), *args, **fields)

    def remember_many(self, *args: Any, scope: Scope | str = Scope.PRIVATE, **options: Any) -> list[MemoryNode]:
        """Remember many texts in one scope, as ``AgentMemory.remember_many``."""
        return AgentMemory.remember_many(self._adding(scope), *args, **options)

    def remember_messages(self, *args: Any, scope: Scope | str = Scope.PRIVATE, **options: Any) -> list[MemoryNode]:
        """Remember the turns of a conversation in one scope, as ``AgentMemory.remember_messages``."""
        return AgentMemory.remember_messages(self._adding(scope), *args, **options)

    def recall(self, query: Any, *args: Any, include_others: bool = True, **options: Any) -> Hits:
        """Return the memories that answer a question best, as ``AgentMemory.recall``.

        Args:
            include_others: False: only the agent's own.
        """
        return super().recall(query, *args, **options | self._whose(include_others))

    def reason(self, cue: Any, *args: Any, include_others: bool = True, **options: Any) -> Hits:
        """Return what a cue leads to, as ``AgentMemory.reason``; ``include_others`` as in ``recall``."""
        return super().reason(cue, *args, **options | self._whose(include_others))

    def memories(self, *, include_others: bool = True) -> list[MemoryNode]:
        """Return every memory that the agent sees, oldest first, or only its own."""
        return self.find(**self._whose(include_others))

    def by_owner(self, owner: str) -> list[MemoryNode]:
        """Return the memories of an agent that this one sees, oldest first."""
        return self.find(owner=owner)

    def share(self, id: str | MemoryNode, scope: Scope | str = Scope.SHARED, *, command_id: str | None = None) -> bool:
        """Let others see a memory of the agent, or take it back; its links come with it.

        What is taken back is not seen in the past by others any more, either.

        Args:
            scope: PRIVATE, SHARED (with the agent's room, also if it was another room's) or PUBLIC.

        Returns:
            False if the memory is not there, or not the agent's: then nothing was done.
        """
        place = self._viewer.place(Scope.of(scope).code)
        operation = MoveNodes(ids=[checks.identifier("id", id_of(id))], partition=place)
        try:
            self._home.execute(operation, command_id=command_id)
        except (NodeNotFoundError, NotOwnerError):
            return False
        return True

    def audit(self, **asked: Any) -> Iterator[AuditEntry]:
        """Give who did what to the memories that the agent sees, as ``AgentMemory.audit``."""
        return (entry for entry in super().audit(**asked) if entry.action != NOTHING)

    @classmethod
    def load(cls, *args: Any, **options: Any) -> NoReturn:
        """Refuse: files hold everybody's memories; ``SharedMemoryPool.load`` reads one."""
        del args, options
        raise NotOwnerError(
            "a view is not made of a file; load it with SharedMemoryPool.load(path) and ask for .agent(name)"
        )

    @classmethod
    def import_(cls, *args: Any, **options: Any) -> NoReturn:
        """Refuse: an exported log holds everybody's memories; import it as an ``AgentMemory`` and make a pool of it."""
        del args, options
        raise NotOwnerError("a view is not made of a log; use SharedMemoryPool(AgentMemory.import_(path, to))")

    def replay(self) -> NoReturn:
        """Refuse: the state is rebuilt from everybody's records."""
        raise NotOwnerError("a view is not rebuilt from the log; ask the pool's memory", agent=self.agent)

    def close(self) -> None:
        """Release nothing: the pool's memory is closed with the pool."""

    def __repr__(self) -> str:
        return f"AgentView({self.agent!r}, room={self.room!r})"

    @property
    def _viewer(self) -> Viewer:
        engine = self._engine
        assert isinstance(engine, ViewEngine)
        return engine.viewer

    def _adding(self, scope: Scope | str) -> Self:
        """Return this view, to which what is added goes in a scope."""
        engine = self._engine
        assert isinstance(engine, ViewEngine)
        code = Scope.of(scope).code
        return self if code == engine.viewer.scope else self._seen_through(engine.with_scope(code), self._home.author)

    def _whose(self, include_others: bool) -> dict[str, Any]:
        return {} if include_others else {"owner": self.agent}


class SharedMemoryPool:
    """One memory that several agents share, each through its own view.

    A memory is PRIVATE to its owner, SHARED with the room that its owner was in, or PUBLIC. The pool's own ``memory``
    sees everything: it is for whoever runs the agents.

    Args:
        memory: to be shared; default: a new ``AgentMemory``.
        default_room: the room of agents that name none.
        options: of the new ``AgentMemory``, such as ``path``.

    Raises:
        InputError: ``memory`` is no ``AgentMemory``.
    """

    def __init__(self, memory: AgentMemory | None = None, *, default_room: str = DEFAULT_ROOM, **options: Any) -> None:
        if memory is not None and not isinstance(memory, AgentMemory):
            raise InputError(
                f"memory must be an AgentMemory, not {checks.shown(memory)}; for one in a folder write "
                "SharedMemoryPool(AgentMemory(path=...))"
            )
        self.memory = AgentMemory(**options) if memory is None else memory
        self.default_room = checks.identifier("default_room", default_room)

    def agent(self, name: str, room: str | None = None) -> AgentView:
        """Return the memory as an agent in a room sees it. The same name is the same agent, now and later.

        An agent that comes back in another room sees that one's memories, and its own private ones; what it shared
        with the old room stays there.
        """
        return AgentView(self.memory, name, self.default_room if room is None else room)

    def all_memories(self) -> list[MemoryNode]:
        """Return every memory of every agent, oldest first."""
        return self.memory.find()

    def by_owner(self, owner: str) -> list[MemoryNode]:
        """Return an agent's memories, oldest first."""
        return self.memory.find(owner=owner)

    def stats(self) -> dict[str, Any]:
        """Return how many memories there are: in all, by owner, by scope, and shared by room."""
        counts: list[tuple[Partition, str | None, int]] = self.memory._engine.ask(Census()).value
        return {
            "memories": sum(count for *_, count in counts),
            "agents": len({owner for _, owner, _ in counts if owner is not None}),
            "by_owner": _sums((owner or "", count) for _, owner, count in counts),
            "by_scope": _sums((Scope.from_code(place.scope).value, count) for place, _, count in counts),
            "by_room": _sums((place.name, count) for place, _, count in counts if place.scope == Scope.SHARED.code),
        }

    def save(self, path: str | Path) -> None:
        """Write everybody's memories to a JSON file, as ``AgentMemory.save``."""
        self.memory.save(path)

    @classmethod
    def load(cls, path: str | Path, *, embedder: Embedder | None = None, default_room: str = DEFAULT_ROOM) -> Self:
        """Return a pool with the memories, owners and scopes of a JSON file.

        Raises:
            ImportFormatError: the file is not one that ``save`` wrote.
        """
        return cls(AgentMemory.load(path, embedder=embedder), default_room=default_room)

    def close(self) -> None:
        """Close the memory; the agents' views with it."""
        self.memory.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.memory)


def _sums(pairs: Iterable[tuple[str, int]]) -> Mapping[str, int]:
    sums: dict[str, int] = {}
    for name, count in pairs:
        sums[name] = sums.get(name, 0) + count
    return dict(sorted(sums.items()))
