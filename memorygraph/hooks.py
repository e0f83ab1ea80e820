"""Hooks: functions that are called when something is remembered, recalled, forgotten, linked or archived.

>>> from memorygraph import AgentMemory
>>> memory = AgentMemory()
>>> @memory.hooks.on("remember")
... def greet(event):
...     print("new:", event["node"].content)
>>> node = memory.remember("Leyla lives in Istanbul")
new: Leyla lives in Istanbul

What changes a memory is told from its log, record by record and in order, once it is written: by every way of writing
there is (the graph, nodes, transactions, agents' views), and with ``follow()`` also by other processes. A view of an
agent has hooks of its own, which are told what the agent may see.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import platform
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, Self, TypeVar, overload

from msgspec import Struct

from memorygraph import checks
from memorygraph.actors.commands import Describe, GetEdges, GetNodes, NodeEdges
from memorygraph.actors.engine import Committed
from memorygraph.core.edge import MemoryEdge
from memorygraph.core.node import MemoryNode
from memorygraph.events import records as ev
from memorygraph.events.errors import InputError, MemoryGraphError
from memorygraph.home import Home
from memorygraph.projections.frame import ORDINAL_BITS, EdgeState, edge_id
from memorygraph.times import to_seconds

EVENTS: Final = ("remember", "recall", "reason", "forget", "link", "archive", "revise", "restore")
ERRORS_MAX: Final = 100
_WAIT_S: Final = 0.5  # how long the follower sleeps in one go
_NAMES: Final[dict[type[ev.Event], str]] = {
    ev.NodeAdded: "remember",
    ev.NodeRevised: "revise",
    ev.NodesForgotten: "forget",
    ev.EdgesAdded: "link",
    ev.NodesArchived: "archive",
    ev.NodesRestored: "restore",
}

Handler = Callable[["HookEvent"], Any]
H = TypeVar("H", bound=Handler)


class HookEvent(Struct, frozen=True):
    """What happened: its name, and what there is to say, by name (``event["node"]``).

    ``remember``, ``revise``: ``node``. ``forget``: ``removed`` (ids) and ``reason``. ``link``: ``edge``; those that a
    new memory comes with are not told of one by one. ``archive``, ``restore``: ``ids``. ``recall``, ``reason``:
    ``query`` (None for a vector) and ``hits``. ``position`` is where the log has it (0: it is not in the log), ``time``
    Unix seconds.
    """

    name: str
    payload: dict[str, Any]
    position: int = 0
    time: float = 0.0
    principal: str = ""

    def __getitem__(self, key: str) -> Any:
        return self.payload[key]

    def get(self, key: str, default: Any = None) -> Any:
        """Return one thing that there is to say, or the default."""
        return self.payload.get(key, default)


class HookError(NamedTuple):
    """A handler that failed: what it was told, which it was, and how."""

    event: HookEvent
    handler: Handler
    error: BaseException


class Hooks:
    """The hooks of one memory; safe to use from several threads.

    A handler is called in the thread that wrote or recalled, after that was done; an ``async`` one in the event loop
    that it was added in, if that runs, else to its end. One thread at a time tells what was written: what others write
    meanwhile it tells, too, and they do not wait for it. What a handler raises is kept in ``errors`` (the last 100) and
    disturbs nobody, unless ``raise_errors`` is set: then the thread that tells raises the first of them in the end.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._handlers: dict[str, list[tuple[Handler, asyncio.AbstractEventLoop | None]]] = {}
        self._lock = threading.Lock()  # of what follows; never held while a handler is called
        self._is_telling = False
        self._is_more = False  # something was written since the thread that tells last looked
        self._position: int | None = None  # told up to here; None: nobody has listened to the log yet
        self._follower: threading.Thread | None = None
        self._stopped = threading.Event()
        self.errors: deque[HookError] = deque(maxlen=ERRORS_MAX)
        self.raise_errors = False

    @overload
    def on(self, name: str) -> Callable[[H], H]: ...

    @overload
    def on(self, name: str, handler: H) -> H: ...

    def on(self, name: str, handler: H | None = None) -> H | Callable[[H], H]:
        """Call a handler from now on whenever an event happens; ``@hooks.on("remember")`` decorates one.

        Args:
            name: one of ``EVENTS``.
            handler: a function of a ``HookEvent``, also an ``async`` one.

        Raises:
            InputError: there is no such event, or the handler is no function.
        """
        checks.one_of("name", name, EVENTS)
        if handler is None:
            return lambda given: self.on(name, given)
        if not callable(handler):
            raise InputError(f"a handler must be a function of an event, not {checks.shown(handler)}")
        loop = None
        if inspect.iscoroutinefunction(handler):
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                loop = None
        with self._lock:
            if name in _NAMES.values():
                self._listen()
            self._handlers.setdefault(name, []).append((handler, loop))
        return handler

    def off(self, name: str, handler: Handler) -> bool:
        """Call a handler no more; False if it was not called before."""
        kept = [pair for pair in self._handlers.get(name, []) if pair[0] != handler]  # methods are equal, not the same
        found = len(kept) < len(self._handlers.get(name, []))
        self._handlers[name] = kept
        return found

    def clear(self, name: str | None = None) -> None:
        """Call no handler of an event any more, or of any."""
        for each in EVENTS if name is None else (checks.one_of("name", name, EVENTS),):
            self._handlers.pop(each, None)

    def emit(self, name: str, **payload: Any) -> None:
        """Tell the handlers of an event that it happened."""
        self._tell(HookEvent(checks.one_of("name", name, EVENTS), payload))

    def follow(self) -> None:
        """From now on tell also what other processes write, in a thread that waits for it."""
        with self._lock:
            self._listen()
        if self._follower is None:
            self._stopped.clear()
            self._follower = threading.Thread(target=self._watch, name="memorygraph-hooks", daemon=True)
            self._follower.start()

    def unfollow(self) -> None:
        """Tell what this process writes alone."""
        follower, self._follower = self._follower, None
        self._stopped.set()
        if follower is not None and follower is not threading.current_thread():
            follower.join()

    def told(self) -> None:
        """Look what is new in the log and tell it; called when something was written."""
        if self._position is None or not self._has_listeners():
            return
        with self._lock:
            self._is_more = True
            if self._is_telling:  # a handler, or another thread: this is told when what they tell is
                return
            self._is_telling = True
        raised: list[Exception] = []
        try:
            while self._goes_on():
                self._tell_new(raised)
        except BaseException:
            self._is_telling = False
            raise
        if raised:
            raise raised[0]

    def _has_listeners(self) -> bool:
        return any(map(self._handlers.get, _NAMES.values()))

    def _listen(self) -> None:
        """Begin to listen to the log, from here on if nobody does yet."""
        if self._has_listeners():
            return
        position = self._home.engine.ask(Describe()).position
        if self._position is None:
            self._home.listeners.append(self.told)
        self._position = position

    def _goes_on(self) -> bool:
        """Whether there may be more to tell; who is told that there is not tells no more."""
        with self._lock:
            self._is_telling, self._is_more = self._is_more, False
            return self._is_telling

    def _tell_new(self, raised: list[Exception]) -> None:
        """Tell what is new, and note what its handlers raise, if they may."""
        for committed in self._home.engine.read((self._position or 0) + 1):
            if self._is_new(committed.position) and (self._follower is not None or self._is_own(committed)):
                for event in self._events(committed):
                    try:
                        self._tell(event)
                    except Exception as error:  # noqa: BLE001 # a handler's; raised when all is told
                        raised.append(error)

    def _is_new(self, position: int) -> bool:
        """Go on to a position; False if who listens now began to after it."""
        with self._lock:
            is_new = position > (self._position or 0)
            self._position = max(position, self._position or 0)
            return is_new

    def _is_own(self, committed: Committed) -> bool:
        """Whether this process wrote a record, as far as it says."""
        own = self._home.author.provenance()
        here = {"host": platform.node(), "pid": str(os.getpid())}
        said = {name: committed.provenance.get(name, "") for name in here}
        return said in (here, {name: own.get(name, "") for name in here})

    def _events(self, committed: Committed) -> Iterator[HookEvent]:
        events = committed.events or ()
        wanted = [event for event in events if self._handlers.get(_NAMES.get(type(event), ""))]
        is_added = any(isinstance(event, ev.NodeAdded) for event in events)
        ids = [event.id for event in wanted if isinstance(event, ev.NodeAdded | ev.NodeRevised)]
        nodes = self._nodes(ids, committed.position)
        ordinal = 0
        for event in events:
            first, ordinal = ordinal, ordinal + (len(event.sources) if isinstance(event, ev.EdgesAdded) else 0)
            if event not in wanted or (is_added and isinstance(event, ev.EdgesAdded)):
                continue
            for payload in self._payloads(event, committed.position, first, nodes):
                yield HookEvent(
                    _NAMES[type(event)],
                    payload,
                    committed.position,
                    to_seconds(committed.time_us),
                    committed.principal,
                )

    def _payloads(
        self, event: ev.Event, position: int, first: int, nodes: dict[str, MemoryNode]
    ) -> Iterator[dict[str, Any]]:
        match event:
            case ev.NodeAdded() | ev.NodeRevised() if event.id in nodes:
                yield {"node": nodes[event.id]}
            case ev.NodesForgotten():
                yield {"removed": list(event.ids), "reason": event.reason}
            case ev.NodesArchived() | ev.NodesRestored():
                yield {"ids": list(event.ids)}
            case ev.EdgesAdded():
                for state in self._edges(event, position, first):
                    yield {"edge": MemoryEdge._view(state, self._home, position)}
            case _:
                pass

    def _nodes(self, ids: list[str], position: int) -> dict[str, MemoryNode]:
        """Return nodes as they were when they were written."""
        if not ids:
            return {}
        engine = self._home.engine
        newest = engine.ask(GetNodes(ids=ids))
        states = newest.value
        if newest.position > position and any(state is None or state.version != position for state in states):
            states = engine.at(position).ask(GetNodes(ids=ids)).value
        return {state.id: MemoryNode._view(state, self._home, position) for state in states if state is not None}

    def _edges(self, event: ev.EdgesAdded, position: int, first: int) -> Iterator[EdgeState]:
        """Give edges that were added, as far as they are still there."""
        names = event.ids or [""] * len(event.sources)
        births = [position << ORDINAL_BITS | first + place for place in range(len(names))]
        ids = [name or edge_id(birth) for name, birth in zip(names, births, strict=True)]
        found: list[EdgeState | None] = self._home.engine.ask(GetEdges(ids=ids)).value
        for state, source, target in zip(found, event.sources, event.targets, strict=True):
            if state is not None and (state.source_id, state.target_id) == (source, target):
                yield state
            else:  # an agent's view is not told of all edges of a record, so that it cannot number them
                yield from self._edges_between(source, target, position)

    def _edges_between(self, source: str, target: str, position: int) -> Iterator[EdgeState]:
        if self._home.nodes([source])[0][0] is not None:
            for state in self._home.engine.ask(NodeEdges(id=source, direction="out")).value:
                if state.target_id == target and state.id.startswith(f"{position}."):
                    yield state

    def _tell(self, event: HookEvent) -> None:
        for handler, loop in list(self._handlers.get(event.name, ())):
            try:
                result = handler(event)
                if inspect.iscoroutine(result):
                    self._await(event, handler, result, loop)
            except Exception as error:
                self._failed(event, handler, error)
                if self.raise_errors:
                    raise

    def _await(
        self, event: HookEvent, handler: Handler, coroutine: Any, loop: asyncio.AbstractEventLoop | None
    ) -> None:
        """Let a coroutine run where it belongs; its errors are noted."""

        async def noted() -> None:
            try:
                await coroutine
            except Exception as error:
                self._failed(event, handler, error)
                if self.raise_errors:
                    raise

        if loop is not None and loop.is_running():
            asyncio.run_coroutine_threadsafe(noted(), loop)
            return
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(noted())
        else:
            asyncio.run_coroutine_threadsafe(noted(), running)

    def _failed(self, event: HookEvent, handler: Handler, error: BaseException) -> None:
        self.errors.append(HookError(event, handler, error))

    def _watch(self) -> None:
        position = self._position or 0
        while not self._stopped.is_set():
            try:
                position = self._home.engine.wait(position, _WAIT_S)
                self.told()
            except MemoryGraphError:  # it was closed, or cannot be read: who uses it will hear
                return


class Hooking:
    """What has hooks: ``AgentMemory``."""

    _hooks: Hooks

    @property
    def hooks(self) -> Hooks:
        """The functions that are called when something happens; see ``memorygraph.hooks``."""
        return self._hooks


class CounterPlugin:
    """Counts events by name in ``counts``."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def attach(self, hooks: Hooks) -> Self:
        """Count from now on, and return the plugin."""
        for name in EVENTS:
            hooks.on(name, self._count)
        return self

    def _count(self, event: HookEvent) -> None:
        self.counts[event.name] += 1


class LoggingPlugin:
    """Writes a line to a logger for each event.

    Args:
        logger: default: "memorygraph". level: of the lines.
    """

    def __init__(self, logger: logging.Logger | None = None, level: int = logging.INFO) -> None:
        self.logger = logger or logging.getLogger("memorygraph")
        self.level = level

    def attach(self, hooks: Hooks) -> Self:
        """Write from now on, and return the plugin."""
        for name in EVENTS:
            hooks.on(name, self._write)
        return self

    def _write(self, event: HookEvent) -> None:
        said = ", ".join(f"{name}={_short(value)}" for name, value in event.payload.items())
        self.logger.log(self.level, "%s at %d: %s", event.name, event.position, said)


def _short(value: Any) -> str:
    return f"{len(value)} items" if isinstance(value, list) else repr(value)
