"""Whatever is asked of a memory, several shards answer what one answers that has it all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph.actors import commands as cmd
from memorygraph.actors.commands import Query
from memorygraph.actors.recall_many import RecallMany
from memorygraph.actors.shard import Shard, sight_of
from memorygraph.actors.sharding import gathering, kept, parts
from memorygraph.actors.sharding.group import ShardGroup
from memorygraph.actors.sharding.member import PARTS, Member
from memorygraph.actors.sharding.peers import InProcess, Moment
from memorygraph.actors.sharding.placement import placed_on
from memorygraph.actors.sight_queries import InSight
from memorygraph.events import records as ev
from memorygraph.events.errors import DamagedLog, InputError, PositionNotKept, ShardError, ShardMismatch
from memorygraph.events.types import Partition
from memorygraph.projections.filters import OPEN
from memorygraph.projections.hit_columns import HitColumns, hits_in
from memorygraph.projections.sight import PUBLIC, Sight
from tests.actors.sharding.histories import PLACES, History, embedded, questions

SHARDS = (1, 2, 4, 8)
TOLERANCE = 2e-6
MUTANT_SEEDS = 40


class Setting:
    """A clock that stands until it is set."""

    notes = ()

    def __init__(self) -> None:
        self.us = 1

    def now_us(self) -> int:
        return self.us


def same(one: Any, other: Any) -> bool:
    """Whether two answers are equal, numbers up to rounding."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return abs(one - other) <= TOLERANCE
    if isinstance(one, HitColumns):
        return same(hits_in(one), hits_in(other))
    if isinstance(one, msgspec.Struct):
        return all(same(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def answer_of(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except InputError as error:
        return type(error).__name__


def check(group: ShardGroup, whole: Shard, query: Query) -> None:
    """Assert that both answer the same."""
    expected = answer_of(lambda: whole.ask(whole.frame, query))
    found = answer_of(lambda: group.ask(query).value)
    assert same(found, expected), f"{query}\n{found}\n{expected}"


def run(seed: int, shards: int) -> None:
    """Compare answers at two positions of a history, and at the first once it was followed by more."""
    history, clock = History(seed), Setting()
    splits = history.random.choice([{}, {PUBLIC: 8}])
    group = ShardGroup(msgspec.structs.replace(placed_on(shards), splits=splits), clock)
    for records in (history.random.randint(1, 30), 15):
        history.grow(records)
        group.follow(history.records[group.position : -1])
        group.follow(history.records[-1:])
        whole = embedded(history.records)
        for query in questions(history, 10):
            check(group, whole, query)
            check_every_member(group, whole, query)
            check_each_alone(whole, query)


def check_each_alone(whole: Shard, query: Query) -> None:
    """Assert that several questions get what each gets by itself."""
    sight, many = sight_of(query)
    if isinstance(many, RecallMany):
        found = answer_of(lambda: hits_in(whole.ask(whole.frame, query)))
        alone = [InSight(sight=sight, asked=each) for each in many.questions()]
        assert same(found, answer_of(lambda: [whole.ask(whole.frame, each) for each in alone])), query


def check_every_member(group: ShardGroup, whole: Shard, query: Query) -> None:
    """Assert that it does not matter who is asked."""
    member = group.members[-1]
    found = answer_of(lambda: member.answer(group.position, query))
    assert same(found, answer_of(lambda: whole.ask(whole.frame, query))), query


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), shards=st.sampled_from(SHARDS))
def test_shards_answer_as_one(seed: int, shards: int) -> None:
    run(seed, shards)


def grown(seed: int = 1, records: int = 40, shards: int = 4, clock: Any = None) -> tuple[ShardGroup, History]:
    history = History(seed)
    history.grow(records)
    group = ShardGroup(placed_on(shards), clock)
    group.follow(history.records)
    return group, history


def test_each_shard_keeps_its_own_texts_vectors_and_words_only() -> None:
    group, history = grown()
    whole = embedded(history.records)
    texts = vectors = postings = 0
    for member in group.members:
        frame = member.frame
        own = member.own_nodes(frame)
        for row in frame.live_rows().nonzero()[0].tolist():
            assert bool(frame.content(row)) == bool(own[row] and whole.frame.content(row))
            assert bool(frame.vector(row)) == bool(own[row] and whole.frame.vector(row))
        held = [text for _, text in frame.texts.objects("content") if text]
        texts += len(held)
        vectors += 0 if frame.vectors is None else frame.vectors.count
        postings += sum(map(len, member.index(frame).lexical._postings.values()))
    assert texts == sum(1 for _, text in whole.frame.texts.objects("content") if text)
    assert whole.frame.vectors is not None
    assert vectors == whole.frame.vectors.count
    whole.catch_up(whole.frame, 1 << 30)
    assert postings == sum(map(len, whole.index(whole.frame).lexical._postings.values()))
    assert len({len(member.own_nodes(member.frame).nonzero()[0]) for member in group.members}) > 1


def test_positions_are_kept_for_a_while() -> None:
    history, clock = History(3), Setting()
    history.grow(10)
    group = ShardGroup(placed_on(2), clock)
    group.follow(history.records)
    then = group.position
    asked = [*questions(history, 12), cmd.Recall(text="the garden of Alice", k=9)]
    whole = embedded(history.records)
    history.grow(6)
    clock.us += 1_000_000
    group.follow(history.records[then:])
    clock.us += kept.KEPT_US - 1
    for query in asked:
        found = answer_of(lambda query=query: group.members[1].answer(then, query))
        assert same(found, answer_of(lambda query=query: whole.ask(whole.frame, query)))
    clock.us += 1
    history.grow(1)
    group.follow(history.records[group.position :])
    with pytest.raises(PositionNotKept, match="that one was let go") as caught:
        group.members[0].answer(then, cmd.Describe())
    assert caught.value.about == {"shard": 0, "position": then, "newest": group.position}
    with pytest.raises(PositionNotKept, match="it has come to"):
        group.members[0].answer(group.position + 1, cmd.Describe())


def test_a_question_that_came_too_late_is_asked_again(monkeypatch) -> None:
    group, history = grown(shards=2)
    whole, query, late = embedded(history.records), cmd.Recall(text="the garden of Alice", k=5), [2]
    part = Member.part

    def slow(self: Member, moment: Moment, asked: Query) -> Any:
        if late[0]:
            late[0] -= 1
            self._kept.at(moment.position + 1)
        return part(self, moment, asked)

    monkeypatch.setattr(Member, "part", slow)
    check(group, whole, query)
    assert late == [0]
    late[0] = 100
    with pytest.raises(PositionNotKept, match="shard"):
        group.ask(query)


def test_many_positions_are_not_kept_however_fast_they_come() -> None:
    frames = kept.KeptFrames(0, Setting())
    shard = Shard()
    for position in range(1, 2 * kept.KEPT_MAX):
        shard.apply(position, 1, ())
        frames.add(shard.publish())
    assert len(frames._frames) <= kept.KEPT_MAX
    assert frames.at(2 * kept.KEPT_MAX - 1).position == 2 * kept.KEPT_MAX - 1


def test_a_new_speaker_comes_with_the_text() -> None:
    group, _ = grown(shards=2)
    name = next(
        state.id
        for state in group.ask(cmd.FindNodes()).value
        if state.content and not group.members[0]._part_state._holds(state.id)
    )
    position = group.position + 1
    with pytest.raises(DamagedLog, match="does not say what"):
        group.members[0].apply(position, 1, [ev.NodeRevised(id=name, speaker="Zoe")])


class Counting(InProcess):
    """Counts messages, hop by hop."""

    def __init__(self, inner: InProcess) -> None:
        super().__init__(list(inner.members.values()))
        self.hops: list[list[int]] = []

    def ask_each(self, moment: Moment, asked: Mapping[int, Query]) -> dict[int, Any]:
        self.hops.append(sorted(asked))
        return super().ask_each(moment, asked)


def counting(group: ShardGroup) -> Counting:
    counted = Counting(group.peers)
    for member in group.members:
        member.peers = counted
    return counted


@pytest.mark.parametrize(
    ("query", "hops_max"),
    [
        (cmd.Recall(text="the garden of Alice in winter", k=10), 4),
        (cmd.Recall(text="the garden of Alice", vector=bytes(16), k=10), 4),
        (cmd.Reason(text="the garden of Alice", k=10), 6),
        (RecallMany(texts=("the garden of Alice", "a report?", "winter in Paris") * 5, k=10), 4),
        (cmd.Similar(vector=bytes(16), k=5), 1),
        (cmd.FindNodes(vectors=True), 1),
        (cmd.Digest(), 1),
        (cmd.Concepts(), 0),
        (cmd.AllEdges(), 0),
    ],
)
def test_a_hop_is_one_message_to_each_shard(query: Query, hops_max: int) -> None:
    group, _ = grown(records=80, shards=4)
    counted = counting(group)
    group.ask(query)
    assert len(counted.hops) <= hops_max
    for asked in counted.hops:
        assert len(asked) <= 3, "one message to each of the others"
    assert bool(counted.hops) == bool(hops_max)


def test_what_one_shard_has_alone_takes_no_message() -> None:
    group, history = grown(records=80, shards=8)
    whole = embedded(history.records)
    own = Partition(1, "z")
    history.write(*(ev.NodeAdded(id=f"own{at}", content=history.text(), partition=own) for at in range(5)))
    group.follow(history.records[group.position :])
    whole = embedded(history.records)
    counted = counting(group)
    query = InSight(sight=Sight(partitions=frozenset({own})), asked=cmd.Recall(text="the garden of Alice", k=3))
    check(group, whole, query)
    assert counted.hops == []


# -- broken variants that the same checks find -------------------------------------------------------------------


def _own_statistics(patch: pytest.MonkeyPatch) -> None:
    """Words are weighed by the statistics of one shard."""
    patch.setattr(gathering, "sum", lambda values: next(iter(values), 0), raising=False)


def _late(patch: pytest.MonkeyPatch) -> None:
    """A shard answers one position late."""
    part = Member.part

    def late(self: Member, moment: Moment, query: Query) -> Any:
        is_late = self.number == 1 and moment.position - 1 in self._kept._frames
        return part(self, msgspec.structs.replace(moment, position=moment.position - is_late), query)

    patch.setattr(Member, "part", late)


def _filtered_after(patch: pytest.MonkeyPatch) -> None:
    """What filters leave out takes the places of what they let through."""
    nearest = PARTS[parts.NearestOf]

    def late(shard: Member, frame: Any, query: Any) -> Any:
        found = nearest(shard, frame, msgspec.structs.replace(query, filters=OPEN))
        visible = shard.part_index(frame).own_at(frame, query.filters).nodes
        row_of = frame.interner.rows
        return [[hit for hit in each if visible[row_of[hit[1]]]] for each in found]

    patch.setitem(PARTS, parts.NearestOf, late)


def _unseen(patch: pytest.MonkeyPatch) -> None:
    """Another shard looks at everything, whoever asks."""
    part = Member.part

    def all_seen(self: Member, moment: Moment, query: Query) -> Any:
        return part(self, msgspec.structs.replace(moment, sight=Sight()), query)

    patch.setattr(Member, "part", all_seen)


def _unlent(patch: pytest.MonkeyPatch) -> None:
    """Texts that are kept elsewhere are not read."""
    patch.setattr(gathering.Gathering, "with_texts", lambda self, work: work(self.frame))


def _unvaried(patch: pytest.MonkeyPatch) -> None:
    """Hits are compared by the words that are here."""
    patch.setattr(gathering.Gathering, "shared", lambda self, rows: self.member.index(self.frame).lexical.shared(rows))


def _all_sums(patch: pytest.MonkeyPatch) -> None:
    """Every shard counts the vector spaces."""
    patch.setattr(Member, "is_first", True)


MUTANTS = [_own_statistics, _late, _filtered_after, _unseen, _unlent, _unvaried, _all_sums]


def run_several() -> None:
    for seed in range(MUTANT_SEEDS):
        run(seed, 4)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_broken_shard_is_found(mutant: Callable[[pytest.MonkeyPatch], None], monkeypatch) -> None:
    mutant(monkeypatch)
    with pytest.raises((AssertionError, ShardError)):
        run_several()


def test_shards_that_differ_say_so(monkeypatch) -> None:
    group, history = grown(shards=2)
    place = next(each for each in PLACES if group.placement.shard_of(each) == 1)
    history.write(ev.NodeAdded(id="late", content="late", partition=place))
    group.follow(history.records[group.position :])
    _late(monkeypatch)
    with pytest.raises(ShardMismatch, match="do not have the same memories") as caught:
        group.members[0].answer(group.position, cmd.Recall(text="late garden", k=50))
    assert caught.value.about == {"shard": 1, "position": group.position}
