"""Random histories of a memory that several agents share, and questions about it."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np

from memorygraph.actors import commands as cmd
from memorygraph.actors import graph_queries
from memorygraph.actors.engine import Committed
from memorygraph.actors.recall_many import RecallMany
from memorygraph.actors.review_queries import Retention
from memorygraph.actors.select import Select
from memorygraph.actors.shard import Shard
from memorygraph.actors.sight_queries import Census, InSight
from memorygraph.actors.timeline_queries import Histogram, Timeline
from memorygraph.events import records as ev
from memorygraph.events.types import EdgeType, Partition
from memorygraph.projections.filters import OPEN, Filters
from memorygraph.projections.selecting import Order, Selection, Text
from memorygraph.projections.sight import PUBLIC, Sight
from memorygraph.projections.window import Window

DIM = 4
HOUR_US = 3_600_000_000
PEOPLE = ["Alice", "Bob", "Carla Diaz", "Deng"]
CITIES = ["Paris", "Lima", "Cairo", "Oslo"]
WORDS = ["garden", "winter", "report", "server", "coffee", "music", "train", "budget", "question", "answer", "walk"]
PLACES = [PUBLIC, PUBLIC, *(Partition(1, name.lower()) for name in "ABC"), Partition(2, "blue"), Partition(2, "green")]
SIGHTS = [
    None,
    Sight(),
    Sight(partitions=frozenset({PUBLIC})),
    Sight(partitions=frozenset({Partition(1, "a")})),
    Sight(partitions=frozenset({PUBLIC, Partition(1, "a"), Partition(2, "blue")})),
    Sight(partitions=frozenset({PUBLIC, Partition(1, "b"), Partition(2, "green")}), archive="with"),
    Sight(archive="only"),
]


class History:
    """Records of a memory, one after the other."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.records: list[Committed] = []
        self.ids: list[str] = []
        self.gone: list[str] = []
        self.space = 0
        self._is_waiting = False
        self.write(ev.MemoryCreated(name="m", language="en"))

    def write(self, *events: ev.Event) -> None:
        """Add a record."""
        position = len(self.records) + 1
        self.records.append(Committed(position, f"c{position}", "", {}, position * HOUR_US, events))

    def grow(self, records: int) -> None:
        """Add so many records of random events."""
        for _ in range(records):
            self.write(*(event for _ in range(self.random.randint(1, 4)) for event in self._some_events()))

    def text(self) -> str:
        """A sentence or two, some of which contradict others."""
        chance, pick = self.random.random(), self.random.choice
        if chance < 0.25:
            return f"{pick(PEOPLE)} {pick(['lives in', 'now lives in', 'moved to'])} {pick(CITIES)}."
        if chance < 0.32:
            return f"{pick(PEOPLE)} {pick(['plays the cello', 'no longer plays the cello'])}."
        words = " ".join(self.random.choices(WORDS, k=self.random.randint(2, 7)))
        title = f"{pick(CITIES)}\n" if chance > 0.9 else ""
        return f"{title}The {words} of {pick([*PEOPLE, *CITIES])}{pick(['', '?', '.'])}"

    def asked(self) -> str:
        """A text to ask with, in small letters now and then."""
        text = self.text()
        return text.lower() if self.random.random() < 0.4 else text

    def vector(self) -> bytes:
        """A vector of whole numbers, or zero."""
        return np.array([self.random.randint(-2, 3) for _ in range(DIM)], "<f4").tobytes()

    def _some_events(self) -> list[ev.Event]:
        kinds = ["add"] * 9 + ["link"] * 4 + ["revise", "revise", "speaker", "forget", "again", "move", "archive"]
        kinds += ["restore", "recall", "reinforce", "respace"]
        made: list[ev.Event] = getattr(self, f"_{self.random.choice(kinds)}")()
        return made

    def _add(self) -> list[ev.Event]:
        before: list[ev.Event] = []
        if not self.space:
            self.space = 1
            before = [ev.SpaceDeclared(space=1, name="toy", dim=DIM)]
        self.ids.append(f"n{len(self.ids) + len(self.gone)}-{len(self.records)}")
        return [*before, self._node(self.ids[-1])]

    def _node(self, name: str) -> ev.NodeAdded:
        pick, chance = self.random.choice, self.random.random
        return ev.NodeAdded(
            id=name,
            content=self.text() if chance() < 0.95 else "",
            vector=self.vector() if chance() < 0.8 else b"",
            space=self.space,
            partition=pick(PLACES),
            importance=self.random.randint(0, 4) / 4,
            memory_type=self.random.randint(1, 3),
            speaker=pick([None, None, *PEOPLE]),
            session=pick([None, None, "s1", "s2"]),
            tags=pick([(), ("red",), ("red", "blue")]),
            metadata=pick([{}, {"lang": "en"}]),
            occurred_us=pick([None, self.random.randint(1, 50) * HOUR_US]),
        )

    def _again(self) -> list[ev.Event]:
        """An id that was forgotten comes again, elsewhere."""
        if not self.gone:
            return self._add()
        self.ids.append(self.gone.pop())
        return [self._node(self.ids[-1])]

    def _link(self) -> list[ev.Event]:
        if len(self.ids) < 2:
            return self._add()
        source, target = self.random.sample(self.ids, 2)
        types = [EdgeType.ASSOCIATION.code, EdgeType.SIMILARITY.code, EdgeType.CONTRADICTS.code]
        return [
            ev.EdgesAdded(
                sources=[source],
                targets=[target],
                weights=[self.random.randint(1, 4) / 4],
                types=[self.random.choice(types)],
                undirected=[self.random.random() < 0.5],
            )
        ]

    def _changing(self, make: Any) -> list[ev.Event]:
        return [make(self.random.choice(self.ids))] if self.ids else self._add()

    def _revise(self) -> list[ev.Event]:
        fields: dict[str, Any] = {"content": self.text(), "tags": ("new",)}
        if self.random.random() < 0.6:
            fields |= {"vector": self.vector(), "space": self.space}
        return self._changing(lambda name: ev.NodeRevised(id=name, **fields))

    def _speaker(self) -> list[ev.Event]:
        speaker, content = self.random.choice(PEOPLE), self.text()
        return self._changing(lambda name: ev.NodeRevised(id=name, speaker=speaker, content=content))

    def _forget(self) -> list[ev.Event]:
        if len(self.ids) < 4:
            return self._add()
        gone = self.ids.pop(self.random.randrange(len(self.ids)))
        self.gone.append(gone)
        return [ev.NodesForgotten(ids=(gone,))]

    def _move(self) -> list[ev.Event]:
        partition = self.random.choice(PLACES)
        return self._changing(lambda name: ev.NodesMoved(ids=(name,), partition=partition))

    def _archive(self) -> list[ev.Event]:
        return self._changing(lambda name: ev.NodesArchived(ids=(name,)))

    def _restore(self) -> list[ev.Event]:
        return self._changing(lambda name: ev.NodesRestored(ids=(name,)))

    def _recall(self) -> list[ev.Event]:
        time_us = len(self.records) * HOUR_US
        return self._changing(lambda name: ev.AccessesRecorded(ids=(name,), times_us=(time_us,)))

    def _reinforce(self) -> list[ev.Event]:
        return self._changing(lambda name: ev.NodesReinforced(ids=(name,), deltas=(0.25,)))

    def _respace(self) -> list[ev.Event]:
        """Another vector space is begun, or takes the place of the active one."""
        if not self.space:
            return self._add()
        waiting, names = self.space + 1, list(self.ids)
        if not self._is_waiting:
            self._is_waiting, names = True, names[::2]
            begun: list[ev.Event] = [ev.SpaceDeclared(space=waiting, name=f"toy{waiting}", dim=DIM)]
            return [*begun, self._vectors(waiting, names)]
        self.space, self._is_waiting = waiting, False
        return [self._vectors(waiting, names), ev.SpaceActivated(space=waiting)]

    def _vectors(self, space: int, names: list[str]) -> ev.VectorsAdded:
        return ev.VectorsAdded(space=space, ids=tuple(names), vectors=tuple(self.vector() for _ in names))


def questions(history: History, count: int) -> list[cmd.Query]:
    """Return random questions of every kind, each through a random sight."""
    made = []
    for _ in range(count):
        asked, sight = _question(history), history.random.choice(SIGHTS)
        made.append(asked if sight is None else InSight(sight=sight, asked=asked))
    return made


def _question(history: History) -> cmd.Query:
    random, pick = history.random, history.random.choice
    k, filters = random.randint(1, 30), _filters(history)
    text, vector = pick([None, history.asked(), history.asked()]), pick([b"", history.vector()])
    ids = random.sample(history.ids, min(4, len(history.ids)))
    now_us = len(history.records) * HOUR_US
    window = pick([None, Window("then", ((5 * HOUR_US, 20 * HOUR_US),), ("winter",))])
    kind = random.random()
    if kind < 0.1:
        vectors = tuple(pick([b"", history.vector()]) for _ in range(3)) if history.space else ()
        texts = (history.asked(), history.asked(), None if vectors and vectors[2] else history.asked())
        return RecallMany(texts=texts, vectors=vectors, windows=pick([(), (None, window, None)]), k=k, filters=filters)
    if kind < 0.35:
        profile = pick(["relevance", "activation", "recency"])
        return cmd.Recall(
            text=text, vector=vector, k=k, filters=filters, window=window, profile=profile, now_us=now_us,
            threshold=pick([0.0, 0.2]),
        )  # fmt: skip
    if kind < 0.5:
        return cmd.Reason(text=text, vector=vector, k=k, hops=random.randint(0, 3), filters=filters, window=window)
    selection = Selection(filters=(filters,), texts=pick([(), (Text(part=pick(WORDS)),)]))
    order = pick([None, Order("importance", descending=True), Order("retention")])
    return pick(
        [
            cmd.Similar(
                vector=history.vector(), k=k, filters=filters, threshold=pick([-1.0, 0.3]), faiss=pick([0.0, 1.0])
            ),
            graph_queries.SimilarEach(vectors=[history.vector(), history.vector()], k=k, filters=filters),
            cmd.GetNodes(ids=[*ids, "nobody"], vectors=pick([True, False])),
            cmd.FindNodes(filters=filters, vectors=pick([True, False]), limit=pick([None, 5]), offset=pick([0, 2])),
            cmd.Superseded(ids=ids),
            cmd.MissingVectors(space=history.space, limit=5),
            cmd.Everything(),
            cmd.Concepts(text=text, limit=5),
            cmd.Digest(),
            cmd.Describe(),
            cmd.Summary(bytes_too=False),
            cmd.AllEdges(),
            cmd.BornUpTo(position=10),
            Census(),
            Retention(now_us=now_us),
            graph_queries.ByImportance(least=0.3, effective=pick([True, False]), now_us=now_us),
            graph_queries.ByTime(column="occurred_us", since_us=3 * HOUR_US),
            graph_queries.Components(),
            Timeline(last=pick([None, 5])),
            Histogram(bucket="hour"),
            Select(selection=selection, order=order, now_us=now_us, give=pick(["nodes", "ids", "count"])),
            Select(selection=selection, vector=history.vector(), limit=7, offset=1, now_us=now_us),
        ]
    )


def _filters(history: History) -> Filters:
    return history.random.choice(
        [
            OPEN,
            OPEN,
            OPEN,
            Filters(tags=("red",)),
            Filters(session="s1"),
            Filters(speaker="Bob"),
            Filters(memory_type=2, since_us=4 * HOUR_US),
            Filters(metadata={"lang": "en"}),
            Filters(scope=PUBLIC.scope),
        ]
    )


def embedded(records: list[Committed]) -> Shard:
    """Return the state that records come to, in one piece."""
    shard = Shard()
    for record in records:
        shard.apply(record.position, record.time_us, record.events)
    shard.publish()
    return shard
