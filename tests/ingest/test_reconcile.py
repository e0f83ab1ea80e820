import json
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorygraph import AgentMemory, drafts
from memorygraph.events.types import EdgeType, MemoryType
from memorygraph.ingest import Connection, Harvest, Item, SyncReport, ingest, reconcile, sync


@pytest.fixture(scope="module", autouse=True)
def _small_chunks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drafts, "CHUNK_ITEMS", 3)
        yield


@pytest.fixture
def memory():
    with AgentMemory() as memory:
        yield memory


def nodes(memory, origin):
    return memory.find(metadata={"origin": origin})


def state(memory, origin):
    """What an origin's items look like, without ids: contents and times by source, and edges by their sources."""
    mine = nodes(memory, origin)
    sources = {node.id: node.source for node in mine}
    items = sorted((node.source, node.content, node.speaker, node.session) for node in mine)
    edges = [
        (node.source, sources[edge.target_id], edge.edge_type.value)
        for node in mine
        for edge in memory.edges(node.id)
        if edge.source_id == node.id and edge.target_id in sources
    ]
    return items, sorted(edges)


def item(source, content="text", **fields):
    return Item(source=source, content=content, memory_type=MemoryType.SEMANTIC, **fields)


def edge(source, target, edge_type=EdgeType.ASSOCIATION):
    return Connection(source, target, edge_type, 0.5)


def test_a_repository_is_remembered_once(memory, repo):
    repo.commit("Begin", z="z")
    repo.commit("Say", d_md="# D\n\nSee `run`.\n", m_py='"""M."""\ndef run():\n    """Go."""\n')
    report = ingest(memory, repo.folder, origin="o")
    assert report == SyncReport(added=6, linked=6)
    items, edges = state(memory, "o")
    assert [source.split(":")[0] for source, *_ in items] == ["d.md", "d.md#d", "git", "git", "m.py", "m.py"]
    assert ("d.md#d", "m.py::run", "association") in edges
    position = memory.position
    assert ingest(memory, repo.folder, origin="o") == SyncReport(unchanged=6)
    assert memory.position == position, "an unchanged second run writes no record"


def test_a_second_run_follows_the_repository(memory, repo):
    repo.commit("Begin", d_md="# D\n\n## Old\n\n## Stay\n")
    ingest(memory, repo.folder, origin="o")
    stay = next(node.id for node in nodes(memory, "o") if node.source == "d.md#stay")
    repo.commit("On", d_md="# D\n\n## New\n\n## Stay\n\nrevised\n", e_md="e")
    report = ingest(memory, repo.folder, origin="o")
    assert (report.added, report.revised, report.unchanged, report.forgotten) == (3, 1, 3, 1)
    assert memory.get(stay).content == "D > Stay\n\nrevised"
    fresh = AgentMemory()
    ingest(fresh, repo.folder, origin="o")
    assert state(memory, "o") == state(fresh, "o")


def test_a_chat_log_that_grew_adds_its_new_turns(memory, tmp_path):
    path = tmp_path / "c.jsonl"
    turns = [{"role": "user", "content": f"turn {number}", "time": number} for number in range(5)]
    path.write_text("\n".join(json.dumps(turn) for turn in turns[:3]))
    ingest(memory, path)
    turns[0]["name"], turns[1]["time"], turns[2]["session"] = "Ada", 1.5, "s"
    path.write_text("\n".join(json.dumps(turn) for turn in turns))
    report = ingest(memory, path)
    # 1 -> 2 stays, 2 -> 3 goes with the session, 2 -> 4 and 4 -> 5 come
    assert report == SyncReport(added=2, revised=3, linked=2, unlinked=1)
    found = nodes(memory, str(path))
    assert [node.speaker for node in found] == ["Ada", *["user"] * 4]
    assert found[1].occurred_at == 1.5
    assert found[2].session == "s"


def test_what_the_user_added_stays(memory):
    first = Harvest((item("a", tags=("document",)), item("b"), item("c")), (edge("a", "b"), edge("b", "c")))
    sync(memory, first, origin="o")
    a, b, c = nodes(memory, "o")
    memory.revise(a.id, tags=["document", "mine"], metadata={"origin": "o", "mine": 1}, importance=0.9)
    memory.link(a.id, c.id, EdgeType.ASSOCIATION)
    memory.link(a.id, b.id, EdgeType.CAUSAL)
    note = memory.remember("my own note", source="note")
    memory.link(note.id, b.id, EdgeType.ASSOCIATION)
    assert sync(memory, first, origin="o") == SyncReport(unchanged=3)
    second = Harvest((item("a", "new", tags=("document",)), item("b"), item("c")), ())
    assert sync(memory, second, origin="o") == SyncReport(revised=1, unchanged=2, unlinked=2)
    revised = memory.get(a.id)
    assert (list(revised.tags), revised.metadata["mine"], revised.importance) == (["document", "mine"], 1, 0.9)
    left = {(one.source_id, one.target_id, one.edge_type) for one in (*memory.edges(a.id), *memory.edges(b.id))}
    assert left == {
        (a.id, c.id, EdgeType.ASSOCIATION),
        (a.id, b.id, EdgeType.CAUSAL),
        (note.id, b.id, EdgeType.ASSOCIATION),
    }


def test_that_edges_of_the_user_stay_is_due_to_the_look_into_the_log(memory, monkeypatch):
    harvest = Harvest((item("a"), item("b")), ())
    sync(memory, harvest, origin="o")
    a, b = nodes(memory, "o")
    memory.link(a.id, b.id, EdgeType.ASSOCIATION)
    monkeypatch.setattr(reconcile, "COMMAND_PREFIX", "")
    assert sync(memory, harvest, origin="o").unlinked == 1


def test_origins_do_not_touch_each_other(memory):
    sync(memory, Harvest((item("a", "one"),), ()), origin="o")
    sync(memory, Harvest((item("a", "two"),), ()), origin="p")
    sync(memory, Harvest((), ()), origin="o")
    assert [node.content for node in nodes(memory, "p")] == ["two"]
    assert nodes(memory, "o") == []


def test_items_known_under_a_former_origin_are_taken_over(memory, repo, tmp_path):
    root = repo.commit("Begin", a_md="# A\n")
    for number in range(3):
        repo.commit(f"Step {number}", a_md=f"# A\n\n{number}\n")
    clone = tmp_path / "clone"
    repo.git("clone", "--quiet", "--depth=2", repo.folder.as_uri(), str(clone))
    ingest(memory, clone)
    known = {node.source: node.id for node in nodes(memory, str(clone))}
    repo.folder = clone
    repo.git("fetch", "--quiet", "--unshallow")
    report = ingest(memory, clone)
    assert (report.added, report.revised, report.forgotten) == (2, 4, 0)
    assert nodes(memory, str(clone)) == []
    now = {node.source: node.id for node in nodes(memory, f"git:{root}")}
    assert known.items() <= now.items()
    assert ingest(memory, clone) == SyncReport(unchanged=6)


def test_second_copies_are_forgotten(memory):
    harvest = Harvest((item("a"), item("b")), (edge("a", "b"),))
    sync(memory, harvest, origin="o")
    first = nodes(memory, "o")[0].id
    memory.remember("text", memory_type=MemoryType.SEMANTIC, source="a", metadata={"origin": "o"})
    assert sync(memory, harvest, origin="o") == SyncReport(unchanged=2, forgotten=1)
    assert [node.id for node in nodes(memory, "o") if node.source == "a"] == [first]


def test_files_that_cannot_be_read_this_time_keep_their_memories(memory, repo, monkeypatch):
    repo.commit("Begin", m_py='"""M."""\ndef f():\n    """F."""\n', n_py='"""N."""\n')
    ingest(memory, repo.folder, origin="o")
    repo.write("m.py", "def f(:\n")
    (repo.folder / "n.py").unlink()
    report = ingest(memory, repo.folder, origin="o")
    assert report == SyncReport(unchanged=1, forgotten=1, notes=("m.py: not valid Python (line 1), skipped",))
    assert [node.source for node in nodes(memory, "o") if node.source.startswith("m.py")] == ["m.py", "m.py::f"]
    monkeypatch.setattr(reconcile, "_is_skipped", lambda *_: False)
    assert ingest(memory, repo.folder, origin="o").forgotten == 2, "without the look at what was skipped they go"


def test_a_note_of_the_user_without_source_is_never_taken_for_an_item(memory):
    memory.remember("mine", metadata={"origin": "o"})
    assert sync(memory, Harvest((), ()), origin="o") == SyncReport()
    assert len(memory) == 1


class Killed(BaseException):
    """The process ends here."""


ITEMS = tuple(item(f"i{number}", f"text {number}") for number in range(8))
BEFORE = Harvest((*ITEMS[:5], item("gone")), (edge("i0", "i1"), edge("i1", "i2"), edge("gone", "i0")))
AFTER = Harvest(
    (*ITEMS[4:], item("i1", "changed"), item("i2", "changed too"), *ITEMS[3:4]),
    (edge("i1", "i2", EdgeType.CAUSAL), *[edge(f"i{number}", f"i{number + 1}") for number in range(4, 7)]),
)


def run_killed(memory, harvest, steps):
    """Run until ``steps`` reports of progress, then be killed; tell whether it came that far."""
    left = iter(range(steps))

    def progress(*_):
        if next(left, None) is None:
            raise Killed

    try:
        sync(memory, harvest, origin="o", progress=progress)
    except Killed:
        return True
    return False


def test_a_killed_run_is_completed_by_the_next_wherever_it_was():
    steps = 0
    wanted = AgentMemory()
    sync(wanted, AFTER, origin="o")
    killed = True
    while killed:
        memory = AgentMemory()
        sync(memory, BEFORE, origin="o")
        killed = run_killed(memory, AFTER, steps)
        sync(memory, AFTER, origin="o")
        assert state(memory, "o") == state(wanted, "o")
        position = memory.position
        sync(memory, AFTER, origin="o")
        assert memory.position == position
        steps += 1
    assert steps > 5


# Ingests a folder into a store, and dies of signal 9 in its third report of durable work.
MORTAL = """
import os, signal, sys
from memorygraph import AgentMemory, drafts
from memorygraph.ingest import ingest
drafts.CHUNK_ITEMS = 3
done = []
def progress(stage, *_):
    done.extend([stage] if stage in ("remember", "revise", "link", "unlink", "forget") else [])
    if len(done) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
ingest(AgentMemory(sys.argv[1]), sys.argv[2], progress, origin="o")
"""


def test_runs_killed_with_signal_9_are_completed_without_doubles(repo, tmp_path):
    for number in range(4):
        repo.commit(f"Step {number}", **{f"d{number}_md": f"# D{number}\n\n## `run`\n", "m_py": f'"""M{number}."""\n'})
    store, runs, killed = str(tmp_path / "store"), 0, True
    while killed:
        command = [sys.executable, "-c", MORTAL, store, str(repo.folder)]
        ended = subprocess.run(command, check=False, capture_output=True, text=True).returncode
        assert ended in (0, -signal.SIGKILL)
        killed = ended != 0
        runs += 1
    assert runs > 3
    fresh = AgentMemory()
    ingest(fresh, repo.folder, origin="o")
    with AgentMemory(store) as memory:
        assert state(memory, "o") == state(fresh, "o")
        assert memory.verify().whole
        assert ingest(memory, repo.folder, origin="o") == SyncReport(unchanged=len(memory))


HARVESTS = st.builds(
    lambda contents, ends: Harvest(
        tuple(item(source, content) for source, content in contents.items()),
        tuple({(a, b, kind): edge(a, b, kind) for a, b, kind in ends if a != b and {a, b} <= contents.keys()}.values()),
    ),
    st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["x", "y"])),
    st.lists(
        st.tuples(
            st.sampled_from("abcdef"),
            st.sampled_from("abcdef"),
            st.sampled_from([EdgeType.ASSOCIATION, EdgeType.HIERARCHICAL]),
        )
    ),
)


@given(st.lists(st.tuples(HARVESTS, st.integers(0, 4)), min_size=1, max_size=4))
def test_after_any_history_of_runs_the_memory_is_as_if_newly_read(runs):
    memory = AgentMemory()
    for harvest, steps in runs:
        run_killed(memory, harvest, steps)
    last = runs[-1][0]
    sync(memory, last, origin="o")
    fresh = AgentMemory()
    sync(fresh, last, origin="o")
    assert state(memory, "o") == state(fresh, "o")
    assert sync(memory, last, origin="o") == SyncReport(unchanged=len(last.items))


def test_progress_is_told_by_stage(memory):
    told = []
    sync(memory, BEFORE, origin="o")
    sync(memory, AFTER, origin="o", progress=lambda *news: told.append(news))
    assert [stage for stage, done, total in told if done == total] == ["remember", "revise", "link", "unlink", "forget"]
