"""``MemoryReader``: everything that can be asked of a memory, now and as it was."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final, Self, Unpack

from memorygraph import checks
from memorygraph.actors.commands import (
    Concepts,
    Describe,
    Digest,
    FindNodes,
    PositionAt,
    Reason,
    Recall,
    Superseded,
)
from memorygraph.actors.engine import Engine
from memorygraph.actors.replay import rebuilt_digest
from memorygraph.author import Author
from memorygraph.batched import Batched
from memorygraph.context import Context, assemble, hit_entry, pinned_entry
from memorygraph.core.edge import MemoryEdge
from memorygraph.core.graph import MemoryGraph
from memorygraph.core.node import MemoryNode
from memorygraph.date_words import date_window
from memorygraph.drafts import id_of
from memorygraph.embeddings import Embedder, HashingEmbedder, embed_batch, space_of
from memorygraph.events.errors import InputError
from memorygraph.events.log import Head, VerifyReport
from memorygraph.events.records import SpaceDeclared
from memorygraph.events.types import Limits, MemoryType, Scope
from memorygraph.evidence import BEST_EFFORT
from memorygraph.filtering import FilterFields, TagMode, filters_of
from memorygraph.history import ADDED, Change, Subscription, changes_of
from memorygraph.hits import Hits, hit_of
from memorygraph.home import Home
from memorygraph.projections.hit import Concept
from memorygraph.projections.profiles import PROFILES, RELEVANCE
from memorygraph.projections.window import Window
from memorygraph.query import Querying
from memorygraph.stats import MemoryStats, stats_of
from memorygraph.times import TimeLike, to_seconds, to_us
from memorygraph.tokens import TokenCounter, estimate_tokens

_CONTEXT_K_MIN: Final = 20
_CONTEXT_TOKENS_EACH: Final = 10  # no line is shorter, so more hits would not fit


class MemoryReader(Querying, Batched):
    """The asking half of ``AgentMemory``; made by it, not by users."""

    graph: MemoryGraph
    path: str | None
    _engine: Engine
    _home: Home
    _limits: Limits

    def recall(
        self,
        query: Any,
        k: int = 5,
        memory_type: MemoryType | str | None = None,
        tags: Iterable[str] | None = None,
        threshold: float = 0.0,
        reinforce: bool = True,
        *,
        tag_mode: TagMode = "all",
        session: str | int | None = None,
        speaker: str | None = None,
        source: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        scope: Scope | str | None = None,
        owner: str | None = None,
        since: TimeLike | None = None,
        until: TimeLike | None = None,
        as_of: int | datetime | None = None,
        asked_at: TimeLike | None = None,
        record: str | None = None,
        profile: str = RELEVANCE,
    ) -> Hits:
        """Return the k memories that answer a question best; unmatched ones come last with score 0.

        Date words in the question ("last week", "in May 2023") make memories that happened then score higher; they hide
        nothing, ``since`` and ``until`` do.

        Args:
            query: a text, or a vector of shape (dim,).
            k: how many, 1..10,000.
            threshold: hits with a lower score are left out, 0..1.
            reinforce: note that the matching ones were recalled, which slows their forgetting.
            memory_type, session, speaker, source, metadata, scope, owner: only memories with these (all metadata
                named).
            tags: only memories with all of these, or with ``tag_mode="any"`` one of them.
            since, until: only what happened in this time, both ends included.
            as_of: ask the memory as it was at a position or an aware datetime, by recording time.
            asked_at: when the question was asked, which date words count from (default: now).
            record: "audited" returns only when it is durable who was given what; "best_effort" records a little later
                what was reinforced. None: as the memory is set.
            profile: what else counts than "relevance": "activation" (used often and lately) or "recency" (happened
                lately). These change the order of what matches, and scores.

        Raises:
            InputError: a value that cannot be used.
            StoreError: an audited recall could not be recorded; it gives nothing.
        """
        if as_of is not None:
            asked = self.at(as_of)
            return asked.recall(
                query, k, memory_type, tags, threshold, reinforce,
                tag_mode=tag_mode, session=session, speaker=speaker, source=source, metadata=metadata, scope=scope,
                owner=owner, since=since, until=until, asked_at=asked_at, record=record, profile=profile,
            )  # fmt: skip
        given: FilterFields = {
            "memory_type": memory_type,
            "tags": tags,
            "tag_mode": tag_mode,
            "session": session,
            "speaker": speaker,
            "source": source,
            "metadata": metadata,
            "scope": scope,
            "owner": owner,
            "since": since,
            "until": until,
        }
        text, vector, space = self._question(query)
        return self._hits(
            Recall(
                text=text,
                vector=vector,
                k=checks.count("k", k, 1, self._limits.k_max),
                threshold=checks.number("threshold", threshold, 0.0, math.inf),
                filters=filters_of(given, self._limits),
                window=self._window(text, asked_at),
                space=space,
                profile=checks.one_of("profile", profile, PROFILES),
                now_us=self._home.clock.now_us(),
            ),
            reinforce,
            record,
        )

    def concepts(self, text: str | None = None, limit: int = 20) -> list[Concept]:
        """Return what the memories name, with who names it: people, places, works; the most named first.

        Args:
            text: only what this text names; None: everything.
            limit: how many, 1..10,000.
        """
        asked = None if text is None else checks.content(text, self._limits)
        query = Concepts(text=asked, limit=checks.count("limit", limit, 1, self._limits.k_max))
        found: list[Concept] = self._engine.ask(query).value
        return found

    def reason(
        self,
        cue: Any,
        hops: int = 2,
        k: int = 10,
        seed_k: int = 3,
        *,
        reinforce: bool = True,
        as_of: int | datetime | None = None,
        asked_at: TimeLike | None = None,
        record: str | None = None,
        **filters: Unpack[FilterFields],
    ) -> Hits:
        """Return what a cue leads to: the best recalled memories, and what names and links lead to within ``hops``.

        Args:
            cue: a text, a vector, a node, or a node's id.
            hops: how far activation spreads, 0..8. k: how many hits, 1..10,000.
            seed_k: how many of the best recalled memories are surely among the hits (so with a small k they may leave
                no place for a better one); a vector starts from these alone.
            as_of, asked_at, record: as in ``recall``.
            filters: as in ``recall``; no step goes through a memory that does not pass them.

        Raises:
            InputError: a value that cannot be used.
            StoreError: an audited one could not be recorded; it gives nothing.
        """
        if as_of is not None:
            past = self.at(as_of)
            return past.reason(cue, hops, k, seed_k, reinforce=reinforce, asked_at=asked_at, record=record, **filters)
        seed = self._seed(cue)
        text, vector, space = (None, b"", None) if seed is not None else self._question(cue)
        asked = Reason(
            text=text,
            vector=vector,
            node_id=seed,
            k=checks.count("k", k, 1, self._limits.k_max),
            hops=checks.count("hops", hops, 0, self._limits.hops_max),
            seed_k=checks.count("seed_k", seed_k, 1, self._limits.k_max),
            filters=filters_of(filters, self._limits),
            window=self._window(text, asked_at),
            space=space,
        )
        return self._hits(asked, reinforce, record)

    def context(
        self,
        query: str,
        max_tokens: int = 1000,
        *,
        pinned: str | MemoryNode | Iterable[str | MemoryNode] = (),
        counter: TokenCounter = estimate_tokens,
        reinforce: bool = True,
        as_of: int | datetime | None = None,
        asked_at: TimeLike | None = None,
        record: str | None = None,
        **filters: Unpack[FilterFields],
    ) -> Context:
        """Return what the memory has to say to a question, as a block for a model's prompt.

        Pinned memories come first, then what ``recall`` finds, by session and time; each on a line with its id and
        date. What one speaker said comes once. A superseded memory is marked, or left out if a link says so and the
        current one is there. The block is never over the budget: what ranks lower is left out (``left_out``). A text
        is given whole, unless it is longer than the whole budget: then it is cut (``shortened``). The same memory and
        question give the same block.

        Args:
            query: the question, or what is talked about.
            max_tokens: the budget, from 1 on, as ``counter`` counts.
            pinned: memories that come before all others: a list of them or of their ids; or one text, the tag that
                they have (or, if none has it, an id); or one memory.
            counter: gives the tokens of a text as the model counts them; default: an estimate.
            reinforce: note that the memories in the block were recalled.
            as_of, asked_at, record, filters: as in ``recall``; filters do not hide what is pinned.

        Raises:
            InputError: a value that cannot be used; the text ``pinned`` is neither a tag nor an id.
            NodeNotFoundError: a pinned id is not there.
        """
        if as_of is not None:
            past = self.at(as_of)
            return past.context(
                query, max_tokens, pinned=pinned, counter=counter, asked_at=asked_at, record=record, **filters
            )
        filters_of(filters, self._limits)  # a name that is none raises here, and not as a TypeError of recall
        budget = checks.count("max_tokens", max_tokens, 1, 2**31)
        if not callable(counter):
            raise InputError(f"counter must be a function from text to a number of tokens, not {checks.shown(counter)}")
        nodes = self._pinned(pinned)
        k = min(self._limits.k_max, max(_CONTEXT_K_MIN, budget // _CONTEXT_TOKENS_EACH))
        way = self._way(record)
        found = self.recall(query, k, reinforce=False, asked_at=asked_at, record=BEST_EFFORT, **filters)
        marks: dict[str, str] = self._engine.ask(Superseded(ids=[node.id for node in nodes])).value
        entries = [pinned_entry(node, marks.get(node.id)) for node in nodes]
        entries += [hit_entry(hit) for hit in found if hit.score > 0]
        block = assemble(entries, found.position, budget, counter)
        self._note(way, list(block.ids), list(block.ids) if reinforce else [])
        return block

    def _pinned(self, given: str | MemoryNode | Iterable[str | MemoryNode]) -> list[MemoryNode]:
        if isinstance(given, MemoryNode):
            return [self.get(given)]
        if not isinstance(given, str):
            return [self.get(node) for node in checks.several("pinned", given)]
        tagged = self.find(tags=[given])
        if not tagged and given not in self:
            raise InputError(
                f"pinned is {checks.shown(given)}, which is neither the tag of a memory nor an id; give a tag, or a "
                "list of memories or ids"
            )
        return tagged or [self.get(given)]

    def get(self, id: str | MemoryNode) -> MemoryNode:
        """Return a memory as a view at the newest position.

        Raises:
            NodeNotFoundError: there is no such memory.
        """
        return self.graph.get_node(id_of(id))

    def find(self, **filters: Unpack[FilterFields]) -> list[MemoryNode]:
        """Return every memory that passes the filters of ``recall``, oldest first.

        Raises:
            InputError: there is no such filter, or its value cannot be used.
        """
        answer = self._engine.ask(FindNodes(filters=filters_of(filters, self._limits)))
        return [MemoryNode._view(state, self._home, answer.position) for state in answer.value]

    def edges(self, id: str | MemoryNode) -> list[MemoryEdge]:
        """Return every link of a memory, in both directions, oldest first.

        Raises:
            NodeNotFoundError: there is no such memory.
        """
        return self.graph.edges_of(id_of(id))

    def stats(self) -> MemoryStats:
        """Return counts, means, distributions and bytes by part."""
        return stats_of(self._engine)

    @property
    def embedder(self) -> Embedder | None:
        """What makes its vectors; None: they are of one that was not given."""
        return self._home.embedders.of(self._engine.ask(Describe()).value.space)

    @property
    def position(self) -> int:
        """The position of the newest record: the version of the memory."""
        return self._engine.ask(Describe()).position

    def at(self, when: int | datetime) -> Self:
        """Return a read-only memory as it was at a position, or at an aware datetime (by recording time).

        Raises:
            InputError: it is neither, the position is not in the log, or the datetime is naive.
        """
        if isinstance(when, datetime):
            if when.tzinfo is None:
                raise InputError(f"{when} has no time zone; give an aware datetime, such as {when}+00:00")
            position: int = self._engine.ask(PositionAt(time_us=to_us(when))).value
        elif isinstance(when, bool) or not hasattr(when, "__index__"):
            raise InputError(
                f"{checks.shown(when)} is neither a position (a whole number) nor a datetime with a time zone, such as "
                "datetime(2020, 1, 31, tzinfo=UTC)"
            )
        else:
            position = checks.count("position", when, 0, 2**62)
        past = self._seen_through(self._engine.at(position), self._home.author)
        past._home.embedders = self._home.embedders.of_past()
        return past

    def acting_as(self, principal: str | None = None, provenance: Mapping[str, str] | None = None) -> Self:
        """Return this memory as somebody else uses it: the same store, and what is done is recorded under that name.

        Args:
            principal: who; None: as before.
            provenance: what to say of the origin, on top of what this memory says.
        """
        twin = self._seen_through(self._engine, self._home.author.but(principal, provenance))
        twin._live = twin._home
        return twin

    def _seen_through(self, engine: Engine, author: Author) -> Self:
        """Return a copy of this facade over another engine or for another author."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__, _exports_json=False)
        copy._engine = engine
        home = self._home
        copy._home = Home(
            engine,
            author=author,
            limits=self._limits,
            embedders=home.embedders,
            clock=home.clock,
            ids=home.ids,
            listeners=home.listeners,
        )
        copy.graph = MemoryGraph(self.graph.embedding_dim, use_faiss=self.graph._use_faiss, home=copy._home)
        return copy

    def history(self, id: str | MemoryNode) -> list[Change]:
        """Return every change that concerns a memory, oldest first, also after it was forgotten; [] if none does.

        A link that went because the memory at its other end was forgotten is told as "unlinked". Where the beginning
        left the log, the last record before that was replaced by its hash stands in for it ("replaced").
        """
        node_id = checks.identifier("id", id_of(id))
        history: list[Change] = []
        lost: Change | None = None
        for record in self._engine.read(1, about=node_id):
            for change in changes_of(record):
                if change.event is None and not history:
                    lost = change
                elif (told := change.told_of(node_id)) is not None:
                    history.append(told)
        return [lost, *history] if lost and history and history[0].kind != ADDED else history

    def log(self, first: int = 1, last: int | None = None) -> Iterator[Change]:
        """Give the changes at positions first..last (from 1 on; None: the newest), in order."""
        end = None if last is None else checks.count("last", last, 0, 2**62)
        for record in self._engine.read(checks.count("first", first, 1, 2**62), end):
            yield from changes_of(record)

    def subscribe(self, from_position: int = 1) -> Subscription:
        """Return an iterator over changes from a position on: what is there, then what comes, from any process."""
        return Subscription(self._engine, checks.count("from_position", from_position, 1, 2**62))

    def head(self) -> Head:
        """Return the log's head: position, chain and epoch."""
        return self._engine.head()

    def verify(self) -> VerifyReport:
        """Read the whole log, checking every checksum and the chain; the report says what can be read (``whole``)."""
        return self._engine.verify()

    def digest(self) -> str:
        """Return the digest of the state as 64 hexadecimal digits: equal states have equal digests, on any machine."""
        digest: str = self._engine.ask(Digest()).value
        return digest

    def replay(self) -> str:
        """Rebuild the state from the first record, beside the live one, and return its digest."""
        return rebuilt_digest(self._engine)

    @property
    def memory_id(self) -> str:
        """The memory's id, 32 hexadecimal digits, the same in every copy."""
        return self._engine.memory_id

    @property
    def read_only(self) -> bool:
        """Whether changes are refused."""
        return self._engine.read_only

    @property
    def notes(self) -> tuple[str, ...]:
        """What the log has to say of itself, a line each: what was cut, what is damaged; empty when all is well."""
        return self._engine.notes

    @property
    def language(self) -> str:
        """The language of its texts."""
        language: str = self._engine.ask(Describe()).value.language
        return language

    @property
    def name(self) -> str:
        """Its name, as recorded when it was made."""
        name: str = self._engine.ask(Describe()).value.name
        return name

    def __len__(self) -> int:
        return len(self.graph)

    def __bool__(self) -> bool:
        return True

    def __contains__(self, id: object) -> bool:
        wanted = id.id if isinstance(id, MemoryNode) else id
        return isinstance(wanted, str) and self._home.nodes([wanted])[0][0] is not None

    def __iter__(self) -> Iterator[MemoryNode]:
        return self.graph.nodes()

    def _question(self, query: Any) -> tuple[str | None, bytes, SpaceDeclared | None]:
        """Return what to ask with: the text, the vector and the vector's space.

        The hashing embedder makes no vector for it: it knows no meaning.
        """
        if not isinstance(query, str):
            return None, checks.question(query), None
        if not query.strip():
            raise InputError("the question is empty; ask with a text or a vector")
        text = checks.content(query, self._limits)
        embedder = self.embedder
        if embedder is None or isinstance(embedder, HashingEmbedder):
            return text, b"", None
        return text, embed_batch(embedder, [text])[0], space_of(embedder)

    def _window(self, text: str | None, asked_at: TimeLike | None) -> Window | None:
        """Return the time that the question's date words mean."""
        if asked_at is None:
            asked_at = to_seconds(self._home.clock.now_us())
        return None if text is None else date_window(text, asked_at)

    def _seed(self, cue: Any) -> str | None:
        """Return the node id that a cue names, or None if it is a text or a vector."""
        if isinstance(cue, MemoryNode):
            return cue.id
        return cue if isinstance(cue, str) and cue in self else None

    def _hits(self, asked: Recall | Reason, reinforce: bool, record: str | None) -> Hits:
        way = self._way(record)
        answer = self._engine.ask(asked)
        hits = Hits((hit_of(found) for found in answer.value), answer.position)
        matched = [hit.node_id for hit in hits if reinforce and hit.score > 0]
        self._note(way, [hit.node_id for hit in hits], matched)
        self.hooks.emit("recall" if isinstance(asked, Recall) else "reason", query=asked.text, hits=hits)
        return hits
