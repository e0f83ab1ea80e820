"""Who did what, when, from where: what the audit tells, against what was done."""

import os
import platform
from importlib.metadata import version

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph import AgentMemory
from memorygraph.audit import ACTIONS
from memorygraph.core.types import InputError, StoreReadOnly
from memorygraph.events.errors import DiskFull
from memorygraph.history import KINDS
from memorygraph.reader import MemoryReader
from tests.memory.helpers import SteppedClock, clocked


def told(entries):
    """What an audit says, in short; that a space was declared goes without saying."""
    return [(entry.principal, entry.action, set(entry.ids)) for entry in entries if entry.action != "space"]


def used():
    """A memory that two principals used in every way."""
    memory = AgentMemory(principal="ann", auto_associate=False)
    ben = memory.acting_as("ben")
    memory.remember("the moon has no air", node_id="moon", session="s1")
    ben.remember("the mast is oak", node_id="mast")
    memory.revise("mast", importance=0.9)
    edge = ben.link("moon", "mast")
    ben.unlink(edge)
    ben.link("mast", "moon")
    memory.forget(ids=["mast"], reason="a test")
    return memory


def test_it_tells_who_wrote_changed_linked_and_forgot_what():
    assert told(used().audit()) == [
        ("ann", "created", set()),
        ("ann", "wrote", {"moon"}),
        ("ben", "wrote", {"mast"}),
        ("ann", "changed", {"mast"}),
        ("ben", "linked", {"moon", "mast"}),
        ("ben", "unlinked", {"moon", "mast"}),
        ("ben", "linked", {"moon", "mast"}),
        ("ann", "forgot", {"mast"}),
    ]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"who": "ben"}, [3, 5, 6, 7]),
        ({"who": ["ann", "ben"], "action": "wrote"}, [2, 3]),
        ({"who": ""}, []),
        ({"id": "moon"}, [2, 5, 6, 7, 8]),
        ({"id": "mast"}, [3, 4, 5, 6, 7, 8]),
        ({"id": ["moon", "nothing"], "action": ["wrote", "unlinked"]}, [2, 6, 8]),
        ({"action": "forgot"}, [8]),
        ({"first": 3, "last": 4}, [3, 4]),
        ({"session": "s1"}, [2, 5, 6, 7]),
        ({"session": "s1", "first": 5, "last": 6}, [5, 6]),
        ({"session": "s2"}, []),
        ({"where": {"via": "api"}}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"where": {"via": "api", "host": "elsewhere"}}, []),
        ({"until": 1}, []),
        ({"since": "2100-01-01"}, []),
    ],
)
def test_filters(filters, found):
    assert [entry.position for entry in used().audit(**filters) if entry.action != "space"] == found


def test_a_link_that_went_with_a_memory_is_told_of_the_other_end():
    entry = list(used().audit(id="moon"))[-1]
    assert (entry.action, entry.ids, entry.principal) == ("unlinked", ("moon",), "ann")


def test_time_filters_are_by_recording_time():
    clock = SteppedClock()
    memory = clocked(clock)
    for number in range(3):
        memory.remember(f"note {number}", node_id=f"n{number}", occurred_at="1999-01-01")
        clock.forward(1)
    start = 1_700_000_000
    assert [entry.ids for entry in memory.audit(action="wrote", since=start + 1, until=start + 3600)] == [("n1",)]


def test_a_session_is_followed_through_revisions():
    memory = AgentMemory(auto_associate=False)
    memory.remember("one", node_id="a", session="s1")
    memory.revise("a", session="s2")
    memory.revise("a", importance=0.1)
    memory.forget(ids=["a"])
    assert [entry.position for entry in memory.audit(session="s1")] == [2, 3]
    assert [entry.position for entry in memory.audit(session="s2")] == [3, 4, 5]


@pytest.mark.parametrize(
    "filters",
    [
        {"who": 5},
        {"who": [5]},
        {"action": "stole"},
        {"where": "host"},
        {"where": 5},
        {"first": 0},
        {"last": -1},
        {"since": "whenever"},
        {"session": 1.5},
    ],
)
def test_a_filter_that_cannot_be_used_is_refused_at_once(filters):
    with pytest.raises(InputError):
        AgentMemory().audit(**filters)


def test_every_kind_of_event_has_an_action_and_the_documentation_names_it():
    words = MemoryReader.audit.__doc__
    assert [action for action in ACTIONS if f'"{action}"' not in words] == []
    assert len(ACTIONS) <= len(KINDS) + 2


# -- from where ------------------------------------------------------------------------------------------------------


def test_every_record_says_where_it_came_from():
    here = {"version": version("memorygraph"), "host": platform.node(), "pid": str(os.getpid()), "via": "api"}
    memory = used()
    assert [entry.where for entry in memory.audit()] == [here] * 9
    assert [change.provenance for change in memory.log()] == [here] * 9


def test_the_user_says_more_or_less_of_it():
    memory = AgentMemory(provenance={"run": "7", "host": "", "pid": ""})
    memory.acting_as(provenance={"run": "8", "via": "nightly"}).remember("x", node_id="x")
    first, _, second = memory.audit()
    assert first.where == {"version": version("memorygraph"), "via": "api", "run": "7"}
    assert second.where == {"version": version("memorygraph"), "via": "nightly", "run": "8"}


@pytest.mark.parametrize("given", ["web", 5, {"a": 5}, {5: "a"}, {"": "x"}, {"a": "\n"}, {"a": "x" * 513}])
def test_provenance_that_cannot_be_recorded_is_refused(given):
    with pytest.raises(InputError, match="provenance"):
        AgentMemory(provenance=given)


def test_provenance_is_small():
    with pytest.raises(InputError, match="more than 2048; it is in every record"):
        AgentMemory(provenance={str(number): "x" * 500 for number in range(5)})


def test_the_same_command_from_elsewhere_is_the_same_command():
    memory = AgentMemory()
    first = memory.remember("once", command_id="c1")
    again = memory.acting_as("ben", {"host": "elsewhere"}).remember("once", command_id="c1")
    assert first.id == again.id
    assert len(list(memory.audit(action="wrote"))) == 1


def test_a_forked_child_says_its_own_process(store):
    with AgentMemory(store) as memory:
        memory.remember("before")
        child = os.fork()
        if child == 0:
            try:
                memory.remember("from the child")
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        pids = [entry.where["pid"] for entry in memory.audit(action="wrote")]
    assert pids == [str(os.getpid()), str(child)]


def test_load_and_json_stores_say_the_file(tmp_path):
    file = tmp_path / "memory.json"
    used().save(file)
    loaded = AgentMemory.load(file)
    loaded.remember("more")
    assert [entry.where.get("source") for entry in loaded.audit(action="wrote")] == [str(file), None]
    with AgentMemory(file) as memory:
        assert {entry.where["via"] for entry in memory.audit(action="wrote")} == {"load"}


# -- recalls ---------------------------------------------------------------------------------------------------------


def with_notes(**options):
    memory = AgentMemory(auto_associate=False, **options)
    for name in ("oak", "elm", "ash"):
        memory.remember(f"the {name} is a tree", node_id=name)
    return memory


def test_recalls_are_kept_apart_by_principal():
    memory = with_notes(principal="ann")
    ben = memory.acting_as("ben", {"host": "b"})
    memory.recall("oak", k=1)
    ben.recall("elm", k=1)
    memory.recall("ash", k=1)
    ben.recall("oak", k=1)
    memory.flush()
    assert told(memory.audit(action="recalled")) == [
        ("ann", "recalled", {"oak"}),
        ("ann", "recalled", {"ash"}),
        ("ben", "recalled", {"elm"}),
        ("ben", "recalled", {"oak"}),
    ]
    assert {entry.where["host"] for entry in memory.audit(who="ben")} == {"b"}
    assert told(memory.audit(id="oak", action="recalled")) == [
        ("ann", "recalled", {"oak"}),
        ("ben", "recalled", {"oak"}),
    ]
    assert memory.get("oak").to_dict()["access_count"] == 2


def test_a_recall_is_told_at_its_own_time():
    clock = SteppedClock()
    memory = clocked(clock)
    memory.remember("oak", node_id="oak")
    memory.recall("oak")
    clock.forward(1)
    memory.recall("oak")
    memory.flush()
    first, second = memory.audit(action="recalled")
    assert (second.time - first.time, first.position) == (3600, second.position)
    assert [entry.time for entry in memory.audit(action="recalled", until=first.time)] == [first.time]


def test_an_audited_recall_is_durable_before_it_is_answered(store):
    with AgentMemory(store, principal="ann", auto_associate=False) as memory:
        memory.remember("the oak is a tree", node_id="oak")
        memory.remember("boats float", node_id="boat")
        hits = memory.recall("oak", record="audited")
        assert [hit.node_id for hit in hits] == ["oak", "boat"]
        with AgentMemory(store, read_only=True) as other:  # what another process sees at once
            entry = list(other.audit(action="recalled"))[-1]
            assert (entry.principal, set(entry.ids)) == ("ann", {"oak", "boat"})
            assert [other.get(name).to_dict()["access_count"] for name in ("oak", "boat")] == [1, 0]
            assert other.history("boat")[-1].kind == "recalled"


def test_a_memory_can_be_set_to_audit_every_recall():
    memory = with_notes(record="audited")
    memory.recall("oak", k=1, reinforce=False)
    memory.reason("elm", k=1)
    memory.context("ash", pinned=["oak"])
    memory.recall("nothing at all", threshold=0.5)
    told = [set(entry.ids) for entry in memory.audit(action="recalled")]
    assert told[:2] == [{"oak"}, {"elm"}]
    assert {"ash", "oak"} <= told[2]
    assert [memory.get(name).to_dict()["access_count"] for name in ("oak", "elm")][1] == 1 + ("elm" in told[2])
    memory.recall("ash", k=1, record="best_effort", reinforce=False)
    memory.flush()
    assert len(list(memory.audit(action="recalled"))) == 3
    assert memory.digest() == memory.replay()


def test_an_audited_recall_of_the_past_is_recorded_in_the_present():
    memory = with_notes(principal="ann", record="audited")
    memory.revise("oak", content="the oak was felled")
    before = memory.position
    assert memory.at(before - 1).recall("oak", k=1)[0].content == "the oak is a tree"
    assert memory.position == before + 1
    assert told(memory.audit(first=before + 1)) == [("ann", "recalled", {"oak"})]
    assert memory.get("oak").to_dict()["access_count"] == 0


def test_an_audited_recall_that_cannot_be_recorded_gives_nothing(store):
    with AgentMemory(store) as memory:
        memory.remember("the oak is a tree")
    with AgentMemory(store, read_only=True) as memory:
        assert memory.recall("oak")
        with pytest.raises(StoreReadOnly):
            memory.recall("oak", record="audited")
    memory = with_notes()

    def full(records, time_us):
        del records, time_us
        raise DiskFull("no space")

    memory._engine._log.append = full
    with pytest.raises(DiskFull):
        memory.recall("oak", record="audited")
    assert memory.recall("oak")


def test_an_audited_recall_in_a_transaction_gives_nothing():
    """Its record would be undone with the block; the answer would not."""
    memory = with_notes(record="audited")
    for recall in (memory.recall, memory.reason, memory.context, memory.at(memory.position - 1).recall):
        with memory.transaction(), pytest.raises(InputError, match="cannot be made in a transaction"):
            recall("oak")
    with memory.transaction():
        assert memory.recall("oak", record="best_effort")
    assert memory.recall("oak", k=1)
    assert told(memory.audit(action="recalled"))[0] == ("", "recalled", {"oak"})


def test_an_audited_recall_tells_what_was_forgotten_before_it_was_recorded(monkeypatch):
    memory = with_notes(principal="ann")
    note = MemoryReader._note

    def forgotten_first(reader, way, given, matched):
        memory.forget(ids=["oak", "elm"])
        note(reader, way, given, matched)

    monkeypatch.setattr(MemoryReader, "_note", forgotten_first)
    given = {hit.node_id for hit in memory.recall("oak", record="audited")}
    assert "oak" in given
    assert told(memory.audit(action="recalled")) == [("ann", "recalled", given)]
    assert memory.digest() == memory.replay()


@pytest.mark.parametrize("record", ["", "yes", 5])
def test_ways_to_record_that_are_none_are_refused(record):
    with pytest.raises(InputError, match="record must be"):
        AgentMemory(record=record)
    with pytest.raises(InputError, match="record must be"):
        with_notes().recall("oak", record=record)


def test_what_was_forgotten_before_its_recall_is_recorded_is_passed_over():
    memory = with_notes()
    memory.recall("oak", k=1)  # noted, not recorded yet
    memory.forget(ids=["oak"])
    memory.flush()
    assert told(memory.audit(action="recalled")) == []  # best effort; an audited recall is there before it answers


# -- what is no longer known -----------------------------------------------------------------------------------------


def test_a_replaced_record_is_told_whatever_is_asked_for():
    memory = used()
    log = memory._engine._log
    log.replace_by_hash([3, 4])
    for filters in ({}, {"who": "ann"}, {"id": "mast"}, {"since": 0}, {"session": "s1"}, {"where": {"via": "x"}}):
        gone = [entry for entry in memory.audit(**filters) if entry.action == "replaced"]
        assert [(entry.position, entry.principal, entry.time, entry.ids) for entry in gone] == [
            (3, "", None, ()),
            (4, "", None, ()),
        ]
        assert gone[0].to_dict()["when"] is None
    assert "replaced" not in {entry.action for entry in memory.audit(action=["wrote", "forgot"])}
    assert [entry.position for entry in memory.audit(first=4, last=4)] == [4]


def test_a_command_that_changed_nothing_is_told():
    memory = AgentMemory(principal="ann")
    memory.forget(0.0)
    entry = list(memory.audit())[-1]
    assert (entry.action, entry.principal, entry.event, entry.to_dict()["event"]) == ("nothing", "ann", None, {})
    assert "nothing" not in {entry.action for entry in memory.audit(id="x")}


# -- against a model -------------------------------------------------------------------------------------------------

DEEDS = st.tuples(
    st.sampled_from(["", "ann", "ben"]),
    st.sampled_from(["remember", "revise", "forget", "recall"]),
    st.sampled_from("abc"),
)


@settings(max_examples=60)
@given(st.lists(DEEDS, max_size=12))
def test_the_audit_is_what_was_done(deeds):
    memory = AgentMemory(auto_associate=False, record="audited")
    done = []
    alive = set()
    for who, what, name in deeds:
        actor = memory.acting_as(who)
        if what == "remember" and name not in alive:
            actor.remember(f"note {name}", node_id=name)
            alive.add(name)
            done.append((who, "wrote", {name}))
        elif what == "revise" and name in alive:
            actor.revise(name, importance=0.2)
            done.append((who, "changed", {name}))
        elif what == "forget" and name in alive:
            actor.forget(ids=[name])
            alive.remove(name)
            done.append((who, "forgot", {name}))
        elif what == "recall" and alive:
            actor.recall("note", k=3)
            done.append((who, "recalled", set(alive)))
    assert told(memory.audit(first=2)) == done
    for who in ("", "ann", "ben"):
        assert told(memory.audit(first=2, who=who)) == [deed for deed in done if deed[0] == who]
    for name in "abc":
        assert told(memory.audit(id=name)) == [deed for deed in done if name in deed[2]]


def test_nobody_forgot_what_expired():
    clock = SteppedClock()
    memory = clocked(clock)
    memory.remember("soon over", node_id="soon", expires_at=clock.now_us() / 1e6 + 60)
    clock.forward(1)
    assert "soon" not in memory
    (entry,) = memory.audit(action="forgot")
    assert (entry.ids, entry.principal, entry.where) == (("soon",), "", {"via": "expiry"})
