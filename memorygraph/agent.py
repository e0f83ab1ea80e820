"""``AgentMemory``: an agent's memory in a few verbs: remember, recall, reason, revise, forget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

from memorygraph import checks, exports, portable
from memorygraph.actors.commands import (
    AddNodes,
    Describe,
    ForgetNodes,
    Receipt,
    ReviseNodes,
)
from memorygraph.actors.engine import Engine
from memorygraph.actors.local import LocalEngine
from memorygraph.actors.signing import HeadSigner
from memorygraph.author import Author
from memorygraph.bulk import Bulk
from memorygraph.connecting import Connecting
from memorygraph.core.graph import MemoryGraph
from memorygraph.core.node import MemoryNode, revision
from memorygraph.drafts import Draft, change_of, chunks_of, draft_of, id_of, size_bytes, turn_of
from memorygraph.embeddings import Embedder, Embedders, HashingEmbedder, embed_batch, fitting_embedder, space_of
from memorygraph.events.errors import CommandIdReused, EmbedderMismatch, InputError
from memorygraph.events.keys import Signer, signer_of
from memorygraph.events.log import EventLog
from memorygraph.events.ports import SystemClock
from memorygraph.events.records import NodeAdded, NodeRevised, NodesForgotten, SpaceDeclared
from memorygraph.events.stores import MemoryLog, SegmentLog
from memorygraph.events.types import LIMITS, EdgeType, Limits, MemoryType
from memorygraph.evidence import BEST_EFFORT
from memorygraph.home import Home
from memorygraph.hooks import Hooks
from memorygraph.linking import Linking
from memorygraph.persistence.backend import StorageBackend
from memorygraph.projections.text import analyzer_for
from memorygraph.reader import MemoryReader
from memorygraph.reembedding import Reembedding
from memorygraph.times import Expiry, TimeLike
from memorygraph.upkeep import Upkeep


class AgentMemory(Connecting, Linking, Upkeep, Reembedding, MemoryReader):
    """A memory of texts that are linked, weighed, recalled and forgotten; every change is an event in its log.

    ``AgentMemory()`` lives in this process only. ``AgentMemory(path="folder")`` is durable: when a method returns, its
    change is on disk, and several processes may have the folder open at once. ``AgentMemory.connect("name")`` lives on
    a fleet of hosts. Safe to use from several threads.

    Args:
        path: folder of the store (made if it is not there); None: in memory. A path that ends in ``.json`` is a file as
            ``save`` writes it, written anew on close, and the store is the folder ``<path>.log`` beside it; a file
            without that folder is where the store begins.
        embedder: what makes vectors; default: a ``HashingEmbedder`` of ``embedding_dim``.
        auto_associate: link new memories to up to ``associate_k`` similar ones, from cosine ``associate_threshold`` on.
        decay_rate: base stability of new memories in hours (168: a week).
        name, language: of the memory (an ISO 639-1 code, for stemming and stop words), recorded when it is made.
        use_faiss: let ``graph.similarity_search`` use faiss (extra faiss-cpu), see ``MemoryGraph``.
        read_only: open an existing store without writing to it; it follows what others write.
        exclusive: keep other writers out until ``close``; they get ``LogLocked`` at once.
        takeover: shut out whoever writes now, even if it hangs and holds the lock; it gets ``Fenced``.
        principal: who writes, recorded with every change; nobody in particular by default.
        provenance: what to record of the origin beside version, host and process; an empty text leaves one out.
        record: how recalls are recorded, "best_effort" or "audited" (see ``recall``).
        signing_key: a key or its file: it signs the log's head every ``sign_every`` commits and on close (extra audit).
        limits: sizes above which input is refused, and what views of the past may hold in memory.
        progress: called with (records read, records in all) while a large store is opened.

    Raises:
        StoreError: the folder cannot be used; the message says why and what to do.
        EmbedderMismatch: the store holds vectors of another embedder than the one given.
    """

    def __init__(
        self,
        path: str | Path | None = None,
        *,
        embedder: Embedder | None = None,
        embedding_dim: int = 256,
        name: str = "agent_memory",
        auto_associate: bool = True,
        associate_k: int = 5,
        associate_threshold: float = 0.35,
        decay_rate: float = 168.0,
        language: str = "en",
        use_faiss: bool | float = False,
        read_only: bool = False,
        exclusive: bool = False,
        takeover: bool = False,
        principal: str = "",
        provenance: Mapping[str, str] | None = None,
        record: str = BEST_EFFORT,
        signing_key: Signer | str | Path | None = None,
        sign_every: int = 100,
        limits: Limits = LIMITS,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self._configure(
            auto_associate=auto_associate,
            associate_k=associate_k,
            associate_threshold=associate_threshold,
            decay_rate=decay_rate,
            use_faiss=use_faiss,
            record=record,
            limits=limits,
        )
        # What cannot be used is refused before anything is made.
        analyzer_for(checks.identifier("language", language))
        space_of(HashingEmbedder(embedding_dim) if embedder is None else embedder)
        author = Author(principal, provenance)
        checks.note("name", name)
        signer = None if signing_key is None else signer_of(signing_key)
        checks.count("sign_every", sign_every, 1, 2**62)
        if signer is not None and (path is None or read_only):
            raise InputError("signing_key needs the path of a store that is open for writing; its heads are kept there")
        if path is None and read_only:
            raise InputError("read_only=True needs the path of a store; a memory in this process begins empty")
        if (exclusive or takeover) and (path is None or read_only):
            raise InputError("exclusive=True and takeover=True are for a memory with a path that is written to")
        self.path = None if path is None else str(checks.path("path", path))
        self._exports_json = self.path is not None and self.path.endswith(".json") and not read_only
        if self.path is None:
            log: EventLog = MemoryLog()
        else:
            folder = portable.folder_of(type(self), self.path, read_only=read_only)
            log = SegmentLog.open(
                folder, create=not read_only, read_only=read_only, exclusive=exclusive, takeover=takeover
            )
        try:
            engine = LocalEngine(
                log,
                name=name,
                language=language,
                progress=progress,
                principal=principal,
                provenance=author.provenance(),
                signer=None if signer is None else HeadSigner(signer, log, every=sign_every, clock=SystemClock()),
                past_bytes_max=limits.past_bytes_max,
            )
            self._settle(engine, embedder, embedding_dim, author)
        except BaseException:
            log.close()
            raise

    def _settle(
        self, engine: Engine, embedder: Embedder | None, embedding_dim: int, author: Author | None = None
    ) -> None:
        recorded: SpaceDeclared | None = engine.ask(Describe()).value.space
        self._engine = engine
        used = fitting_embedder(recorded, embedder, embedding_dim)
        self._home = self._live = Home(engine, author=author, limits=self._limits, embedders=Embedders(used))
        self._hooks = Hooks(self._home)
        dim = embedding_dim if used is None else used.dim
        self.graph = MemoryGraph(dim, use_faiss=self._use_faiss, home=self._home)

    def remember(
        self,
        content: str,
        importance: float = 0.5,
        tags: Iterable[str] | None = None,
        memory_type: MemoryType | str = MemoryType.EPISODIC,
        metadata: Mapping[str, Any] | None = None,
        emotional_valence: float = 0.0,
        embedding: Any = None,
        *,
        confidence: float = 1.0,
        occurred_at: TimeLike | None = None,
        speaker: str | None = None,
        session: str | int | None = None,
        source: str | None = None,
        node_id: str | None = None,
        expires_at: Expiry | None = None,
        supersedes: str | MemoryNode | Iterable[str | MemoryNode] | None = None,
        command_id: str | None = None,
    ) -> MemoryNode:
        """Remember a text and return it as a node; similar memories are linked to it.

        Args:
            content: the text, at most 1 MiB. tags: at most 64. metadata: plain data, at most 64 KiB.
            importance: 0..1. emotional_valence: -1..1. confidence: 0..1. Values outside are clipped.
            embedding: its vector, shape (dim,); default: what the embedder makes of the text.
            occurred_at: when it happened (default: now): datetime, Unix seconds, or text.
            speaker, session, source: who said it, in which conversation, where it was taken from.
            supersedes: the memory, or memories, whose place it takes: they stay, an edge CONTRADICTS leads to them, and
                recall puts this one before them.
            node_id: a chosen id. command_id: sending the same command again gives the first result.
            expires_at: from when on it is forgotten: a time as above, or a ``timedelta`` from now (with a command_id
                give a time: from a later now it would be another command).

        Raises:
            InputError: a value that cannot be used; the message says which and why.
            NodeNotFoundError: what it supersedes is not there; or the command was sent before, and what it remembered
                is forgotten meanwhile.
            StoreError: it could not be written; nothing was.
        """
        item = {
            "content": content,
            "importance": importance,
            "tags": tags,
            "memory_type": memory_type,
            "metadata": metadata,
            "emotional_valence": emotional_valence,
            "embedding": embedding,
            "confidence": confidence,
            "occurred_at": occurred_at,
            "speaker": speaker,
            "session": session,
            "source": source,
            "node_id": node_id,
            "expires_at": expires_at,
            "supersedes": supersedes,
        }
        return self.get(
            self._add([draft_of(item, self._decay_rate, self._limits)], self._auto_associate, command_id)[0]
        )

    def remember_many(
        self,
        items: Iterable[str | Mapping[str, Any]],
        *,
        associate: bool | None = None,
        command_id: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> list[MemoryNode]:
        """Remember many texts, in chunks that are each all or nothing, and return their nodes.

        Args:
            items: texts, or dicts of ``remember``'s arguments.
            associate: link to similar memories (None: as the memory is set).
            command_id: chunks are sent as ``<command_id>/<n>``; the same call again goes on where it broke off.
            progress: called with the number done after each chunk.

        Raises:
            MemoryGraphError: of the chunk that failed; it says how many were done and how to go on, and its ``about``
                has ``done``, ``total`` and ``command_id``.
        """
        return self._views(self._add_many(items, associate, Bulk(self._home, command_id, items, progress)))

    def remember_messages(
        self, messages: Iterable[Mapping[str, Any]], session: str | int | None = None, *, command_id: str | None = None
    ) -> list[MemoryNode]:
        """Remember the turns of a conversation, each linked to the next (TEMPORAL), and return their nodes.

        Args:
            messages: dicts with ``role`` and ``content``, and if known ``name`` (else the role speaks) and ``time``.
            session: the conversation they belong to.

        Raises:
            InputError: a message that lacks one of the two, or has something else.
        """
        items = [turn_of(message, session) for message in checks.several("messages", messages)]
        bulk = Bulk(self._home, command_id, items)
        turns = self._views(self._add_many(items, None, bulk))
        steps = [(before.id, after.id, EdgeType.TEMPORAL, 1.0, True) for before, after in pairwise(turns)]
        with suppress(CommandIdReused):  # the call is repeated, and a turn was forgotten after its links were made
            self._link_many(steps, bulk.then("links", steps))
        return turns

    def revise(
        self, id: str | MemoryNode, *, expected: int | None = None, command_id: str | None = None, **fields: Any
    ) -> MemoryNode:
        """Replace fields of a memory and return its new view; what is not named stays.

        A field is replaced as a whole: ``tags=["a"]`` leaves no other tag, ``metadata={}`` nothing.

        Args:
            id: of the memory, or the memory itself.
            expected: its ``version`` must still be this one.
            fields: content, importance, tags, metadata, memory_type, emotional_valence, confidence,
                consolidation_state, decay_function, decay_rate, occurred_at, speaker, session, source, embedding,
                expires_at (None: never). Ranges are those of ``remember``.

        Raises:
            InputError: there is no such field, or its value cannot be used.
            NodeNotFoundError: there is no such memory.
            ExpectationFailed: somebody revised it meanwhile; nothing was written.
        """
        change = revision(id_of(id), fields, self._limits)
        self._revise([change], [0 if expected is None else checks.count("expected", expected, 1, 2**62)], command_id)
        return self.get(change.id)

    def revise_many(
        self,
        changes: Iterable[Mapping[str, Any]],
        *,
        command_id: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> int:
        """Revise many memories, in chunks that are each all or nothing, and return how many.

        Args:
            changes: dicts of ``id`` and the fields to replace.

        Raises:
            MemoryGraphError: of the chunk that failed, as in ``remember_many``.
        """
        bulk = Bulk(self._home, command_id, changes, progress)
        revisions = (change_of(change, self._limits) for change in checks.several("changes", changes))
        return bulk.run(
            chunks_of(revisions, self._with_vector_bytes), lambda chunk, name: self._revise(chunk, [], name)
        )

    def forget(
        self,
        retention_threshold: float = 0.05,
        *,
        ids: Iterable[str | MemoryNode] | None = None,
        reason: str = "",
        command_id: str | None = None,
    ) -> list[str]:
        """Forget memories and return their ids: those in ``ids``, else all whose retention fell below the threshold.

        Important (from 0.9), long-term and undecaying memories do not fade. Forgotten is not erased: the log still
        tells.

        Args:
            retention_threshold: how much must be left of a memory that stays, 0..1.
            reason: for the log.

        Raises:
            InputError: the threshold is not in 0..1; nothing was forgotten.
            NodeNotFoundError: one of ``ids`` is not there; nothing was forgotten.
        """
        checks.note("reason", reason)
        if ids is None:
            if isinstance(retention_threshold, str | MemoryNode):
                raise InputError("retention_threshold must be a number; to forget certain memories, write ids=[...]")
            return self.graph.prune_forgotten(retention_threshold, reason=reason or "faded", command_id=command_id)
        wanted = [checks.identifier("id", id_of(node)) for node in checks.several("ids", ids)]
        return _forgotten(self._home.execute(ForgetNodes(ids=wanted, reason=reason), command_id=command_id))

    def consolidate(
        self,
        similarity_threshold: float = 0.95,
        max_candidates: int | None = 1000,
        *,
        command_id: str | None = None,
    ) -> int:
        """Merge memories that say nearly the same, and return how many went; see ``MemoryGraph.merge_similar_nodes``.

        Args:
            similarity_threshold: the least cosine of their vectors, -1..1.
            max_candidates: so many of the newest memories are compared with all others; None: every one.

        Raises:
            NotOwnerError: this is an agent's view of a pool; the pool's memory merges.
        """
        return self.graph.merge_similar_nodes(similarity_threshold, max_candidates, command_id=command_id)

    @contextmanager
    def transaction(self, *, command_id: str | None = None) -> Iterator[Self]:
        """Do all that this thread does in the block, or nothing of it; see ``MemoryGraph.transaction``."""
        with self.graph.transaction(command_id=command_id):
            yield self

    def save(self, path: str | Path, *, backend: str | StorageBackend = "json") -> None:
        """Write the present memories and links to a file, whole or not at all.

        What is over stays behind: earlier versions, forgotten memories, history. ``export`` keeps everything.

        Args:
            backend: "json", "sqlite" or "pickle", as for ``GraphStorageManager``.

        Raises:
            StoreError: it cannot be written; what was there is still there.
        """
        portable.save(self, path, backend)

    @classmethod
    def load(
        cls, path: str | Path, *, embedder: Embedder | None = None, backend: str | StorageBackend = "json"
    ) -> Self:
        """Return an in-memory ``AgentMemory`` with the memories and links of a file.

        Raises:
            ImportFormatError: the file is not one that ``save`` wrote.
        """
        return portable.load(cls, path, embedder, backend)

    @classmethod
    def import_(cls, path: str | Path, to: str | Path, *, embedder: Embedder | None = None) -> Self:
        """Make a store out of an exported file, record by record as it was, and open it.

        Raises:
            ImportFormatError: the file is not an export.
            DamagedLog: the file fails its checks, or tells another history than the store; nothing was written.
            NewerSchema: it holds events of a newer release; nothing was written.
        """
        exports.import_log(path, to)
        return cls(to, embedder=embedder)

    def flush(self) -> None:
        """Make what recalls reinforced durable now; all else is durable when its method returns."""
        self._engine.flush()

    def close(self) -> None:
        """Flush and release everything; safe to call twice. Using the memory afterwards raises ``ClosedError``."""
        try:
            if self._exports_json and self.path is not None:
                self._exports_json = False
                self.flush()
                self.save(self.path)
        finally:
            self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"AgentMemory({self.path!r}, memory_id={self.memory_id!r})"

    def _add_many(self, items: Iterable[str | Mapping[str, Any]], associate: bool | None, bulk: Bulk) -> list[str]:
        associate = self._auto_associate if associate is None else associate
        ids: list[str] = []
        drafts = (draft_of(item, self._decay_rate, self._limits) for item in checks.several("items", items))

        def send(chunk: list[Draft], name: str | None) -> int:
            ids.extend(self._add(chunk, associate, name))
            return len(chunk)

        bulk.run(chunks_of(drafts, lambda draft: self._with_vector_bytes(draft.event)), send)
        return ids

    def _with_vector_bytes(self, event: NodeAdded | NodeRevised) -> int:
        """How many bytes an event takes in the log, with the vector that the embedder makes for it."""
        space = self._home.space
        return size_bytes(event) + (0 if event.vector or space is None else 4 * space.dim)

    def _add(self, drafts: list[Draft], associate: bool, command_id: str | None) -> list[str]:
        """Add nodes and return their ids."""
        nodes = [draft.event for draft in drafts]
        operation = AddNodes(
            nodes=nodes,
            derived=self._derived([node.content if not node.vector else "" for node in nodes]),
            space=self._home.space,
            associate=self._policy if associate and self._policy.k else None,
            supersedes=[draft.supersedes for draft in drafts] if any(draft.supersedes for draft in drafts) else [],
        )
        receipt = self._home.execute(operation, command_id=command_id)
        return [event.id for event in receipt.events if isinstance(event, NodeAdded)]

    def _views(self, ids: list[str]) -> list[MemoryNode]:
        """The nodes of these ids as they are now (those forgotten, after a repeated command, are left out)."""
        states, position = self._home.nodes(ids)
        return [MemoryNode._view(state, self._home, position) for state in states if state is not None]

    def _revise(self, changes: list[NodeRevised], expected: list[int], command_id: str | None) -> int:
        derived = self._derived(
            [change.content if isinstance(change.content, str) and not change.vector else "" for change in changes]
        )
        operation = ReviseNodes(changes=changes, expected=expected, derived=derived, space=self._home.space)
        self._home.execute(operation, command_id=command_id)
        return len(changes)

    def _derived(self, texts: list[str]) -> list[bytes]:
        """Vectors for texts ('' for none)."""
        if self._engine.read_only or not any(texts):
            return []
        embedder = self.embedder
        if embedder is None:
            recorded: SpaceDeclared = self._engine.ask(Describe()).value.space
            raise EmbedderMismatch(
                f"this memory holds vectors of {recorded.name!r} ({recorded.dim} dimensions); to add texts, open it "
                "with AgentMemory(path, embedder=...) and that embedder",
                expected=recorded.name,
            )
        wanted = [text for text in texts if text]
        made = iter(embed_batch(embedder, wanted))
        return [next(made) if text else b"" for text in texts]


def _forgotten(receipt: Receipt) -> list[str]:
    return [node_id for event in receipt.events if isinstance(event, NodesForgotten) for node_id in event.ids]
