"""``Connecting``: how an ``AgentMemory`` is set, finds itself on a fleet of hosts, and travels: it can be pickled."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from memorygraph import checks
from memorygraph.actors.commands import Associate
from memorygraph.actors.engine import Engine
from memorygraph.actors.fleet.transport import Transport
from memorygraph.author import Author
from memorygraph.core.graph import MemoryGraph
from memorygraph.core.searching import asked_recall
from memorygraph.embeddings import Embedder, HashingEmbedder, space_of
from memorygraph.events.errors import InputError
from memorygraph.events.types import LIMITS, Limits
from memorygraph.evidence import BEST_EFFORT, recording
from memorygraph.home import Home
from memorygraph.hooks import Hooks
from memorygraph.projections.faiss_index import load_faiss
from memorygraph.projections.text import analyzer_for

_MADE_ANEW: Final = ("_home", "_live", "_hooks", "graph")


class Connecting:
    """The part of ``AgentMemory`` that finds it on a fleet."""

    graph: MemoryGraph
    path: str | None
    _engine: Engine
    _home: Home
    _live: Home
    _hooks: Hooks
    _use_faiss: bool | float

    @classmethod
    def connect(
        cls,
        name: str,
        *,
        fleet: str | Path | None = None,
        address: str | None = None,
        namespace: str = "memorygraph",
        transport: Transport | None = None,
        create: bool = True,
        embedder: Embedder | None = None,
        embedding_dim: int = 256,
        language: str = "en",
        read_only: bool = False,
        principal: str = "",
        provenance: Mapping[str, str] | None = None,
        deadline_s: float = 30.0,
        **options: Any,
    ) -> Self:
        """Return a memory of a fleet, with the same methods as one in this process.

        What is returned can be pickled, so it can be given to other processes, tasks and actors, and its methods are
        those of any memory. When a method returns, its change is durable; a call that was lost is repeated, and done
        once.

        Args:
            name: of the memory: 1 to 64 of a-z, 0-9, _ and -.
            fleet: the folder of one that ``memorygraph cluster up`` started on this machine.
            address: of the Ray cluster that the fleet runs on; None: the one that this process belongs to.
            namespace: of the fleet on that cluster.
            transport: another way to a fleet, instead of Ray (``memorygraph.actors.fleet.transport.Transport``).
            create: make the memory if the fleet has none of that name, in this ``language``.
            deadline_s: how long a call may take; a memory whose host died is back in about a second.
            options: ``embedder``, ``embedding_dim``, ``read_only``, ``principal``, ``provenance``, ``auto_associate``,
                ``associate_k``, ``associate_threshold``, ``decay_rate``, ``record`` and ``limits`` as for
                ``AgentMemory``.

        Raises:
            ImportError: Ray is not installed: pip install 'memorygraph[ray]'.
            StoreNotFound: there is no such memory, and none was to be made.
            TimedOut: no host of the fleet answers.
            EmbedderMismatch: the memory holds vectors of another embedder than the one given.
        """
        from memorygraph.actors.fleet.calls import Founding
        from memorygraph.actors.fleet.client import FleetEngine

        analyzer_for(checks.identifier("language", language))
        space_of(HashingEmbedder(embedding_dim) if embedder is None else embedder)
        author = Author(principal, provenance)
        memory = cls.__new__(cls)
        memory._configure(**options)
        memory.path = None
        founding = Founding(name=name, language=language, principal=principal, provenance=author.provenance())
        if transport is None:
            transport = _way_to(fleet, address, namespace)
        engine = FleetEngine(
            name,
            transport,
            founding=founding if create and not read_only else None,
            read_only=read_only,
            deadline_s=checks.within("deadline_s", deadline_s, 0.001, 86_400.0),
        )
        memory._settle(engine, embedder, embedding_dim, author)
        return memory

    def _configure(
        self,
        *,
        auto_associate: bool = True,
        associate_k: int = 5,
        associate_threshold: float = 0.35,
        decay_rate: float = 168.0,
        use_faiss: bool | float = False,
        record: str = BEST_EFFORT,
        limits: Limits = LIMITS,
    ) -> None:
        """Take the settings that are this facade's own, wherever the memory is."""
        if not isinstance(limits, Limits):
            raise InputError(f"limits must be Limits(...), not {checks.shown(limits)}")
        self._policy = Associate(
            checks.count("associate_k", associate_k, 0, limits.k_max),
            checks.within("associate_threshold", associate_threshold, -1.0, 1.0),
        )
        self._auto_associate = bool(auto_associate)
        self._use_faiss = asked_recall(use_faiss)
        if use_faiss:
            load_faiss()
        self._decay_rate = checks.decay_rate(decay_rate)
        self._limits = limits
        self._record = recording(record)
        self._exports_json = False

    def _settle(
        self, engine: Engine, embedder: Embedder | None, embedding_dim: int, author: Author | None = None
    ) -> None:
        raise NotImplementedError

    def __getstate__(self) -> dict[str, Any]:
        if self._engine.in_transaction:
            raise InputError("a memory cannot be pickled in a transaction; do that before or after the block")
        home = self._home
        said = (self._live.engine, home.author, home.limits, home.embedders, self.graph.embedding_dim)
        return {name: value for name, value in self.__dict__.items() if name not in _MADE_ANEW} | {"_said": said}

    def __setstate__(self, state: dict[str, Any]) -> None:
        live, author, limits, embedders, dim = state.pop("_said")
        self.__dict__.update(state)
        self._home = Home(self._engine, author=author, limits=limits, embedders=embedders)
        self._live = self._home
        if live is not self._engine:
            self._live = Home(live, author=author, limits=limits, embedders=embedders)
        self._hooks = Hooks(self._live)
        self.graph = MemoryGraph(dim, use_faiss=self._use_faiss, home=self._home)


def _way_to(fleet: str | Path | None, address: str | None, namespace: str) -> Transport:
    """Return the way to a fleet on Ray, which is loaded here and not before."""
    if fleet is not None:
        if address is not None:
            raise InputError("give fleet=, the folder of a fleet on this machine, or address=, of a cluster; not both")
        from memorygraph.actors.fleet.keeper import transport_over

        return transport_over(fleet)
    from memorygraph.actors.fleet.cluster import transport_to

    return transport_to(address, namespace)
