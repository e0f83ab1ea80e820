import os
import subprocess

import pytest

from memorygraph import AgentMemory
from memorygraph.events.errors import ImportFormatError
from memorygraph.events.types import EdgeType, MemoryType
from memorygraph.ingest import git, harvest_path
from memorygraph.ingest.git import find_repository
from tests.ingest.git_repo import GitRepo


def commits(harvest):
    return {item.source: item for item in harvest.items if item.source.startswith("git:")}


def links(harvest, edge_type):
    return {(one.source, one.target): one.weight for one in harvest.connections if one.edge_type is edge_type}


def test_a_commit_is_an_episode_of_its_author_at_its_time(repo):
    repo.commit("Begin", a_md="# A\n")
    sha = repo.commit("Say more\n\nBecause of reasons.", a_md="# A\n\nmore\n")
    item = commits(harvest_path(repo.folder))[f"git:{sha}"]
    assert item.content == "Say more\n\nBecause of reasons.\n\nFiles: a.md"
    assert item.memory_type is MemoryType.EPISODIC
    assert (item.occurred_at, item.speaker) == (float(repo.time_s), "Ada Løvelace")


def test_commits_come_oldest_first_chained_by_first_parents(repo):
    root = repo.commit("Begin", a_md="# A\n")
    repo.git("checkout", "--quiet", "-b", "side")
    side = repo.commit("Side", b_md="# B\n")
    repo.git("checkout", "--quiet", "main")
    main = repo.commit("Main", a_md="# A2\n")
    repo.time_s += 60
    repo.git("merge", "--quiet", "--no-ff", "-m", "Join", "side")
    merge = repo.git("rev-parse", "HEAD")
    harvest = harvest_path(repo.folder)
    order = list(commits(harvest))
    assert order[0] == f"git:{root}"
    assert order[-1] == f"git:{merge}"
    assert set(links(harvest, EdgeType.TEMPORAL)) == {
        (f"git:{root}", f"git:{main}"),
        (f"git:{root}", f"git:{side}"),
        (f"git:{main}", f"git:{merge}"),
    }
    # The root and the merge touch nothing: the one everything, the other what its branch has told already.
    assert links(harvest, EdgeType.ASSOCIATION) == {(f"git:{main}", "a.md"): 1.0, (f"git:{side}", "b.md"): 1.0}


def test_the_weight_of_a_touch_is_one_by_the_files_touched(repo):
    repo.commit("Begin", z="z")
    sha = repo.commit("Four", a_md="# A\n", b_md="# B\n", m_py='"""A module."""\n', c="no item")
    harvest = harvest_path(repo.folder)
    assert links(harvest, EdgeType.ASSOCIATION) == {(f"git:{sha}", name): 0.25 for name in ("a.md", "b.md", "m.py")}


@pytest.mark.parametrize(("count", "linked"), [(50, 50), (51, 0)])
def test_above_fifty_files_nothing_is_associated(repo, count, linked):
    repo.commit("Begin", z="z")
    for number in range(count):
        repo.write(f"{number}.md", f"# {number}\n")
    repo.commit("Many")
    assert len(links(harvest_path(repo.folder), EdgeType.ASSOCIATION)) == linked


def test_a_renamed_file_is_found_under_todays_name(repo):
    repo.commit("Begin", z="z")
    first = repo.commit("Write", old_md="# Old\n")
    repo.git("mv", "old.md", "mid.md")
    second = repo.commit("Rename")
    repo.git("mv", "mid.md", "new.md")
    third = repo.commit("Rename again")
    fourth = repo.commit("Another of the old name", old_md="# Different\n")
    assert links(harvest_path(repo.folder), EdgeType.ASSOCIATION) == {
        (f"git:{first}", "new.md"): 1.0,
        (f"git:{second}", "new.md"): 1.0,
        (f"git:{third}", "new.md"): 1.0,
        (f"git:{fourth}", "old.md"): 1.0,
    }


def test_a_shallow_clone_says_so_and_its_boundary_touches_nothing(repo, tmp_path):
    for number in range(4):
        repo.commit(f"Step {number}", a_md=f"# {number}\n")
    shallow = tmp_path / "shallow"
    repo.git("clone", "--quiet", "--depth=2", repo.folder.as_uri(), str(shallow))
    harvest = harvest_path(shallow)
    assert [item.content.split("\n")[0] for item in commits(harvest).values()] == ["Step 2", "Step 3"]
    assert len(links(harvest, EdgeType.ASSOCIATION)) == 1
    assert harvest.notes == ("shallow clone: history before 2023-11-14 is missing (git fetch --unshallow gets it)",)
    assert harvest.origins == (str(shallow),)


def test_a_folder_without_git_works_and_says_so(tmp_path):
    (tmp_path / "a.md").write_text("# A\n")
    for hidden in (".hidden", "node_modules", "env"):
        (tmp_path / hidden).mkdir()
        (tmp_path / hidden / "b.md").write_text("# B\n")
    (tmp_path / "env" / "pyvenv.cfg").write_text("home = /usr\n")
    harvest = harvest_path(tmp_path)
    assert [item.source for item in harvest.items] == ["a.md", "a.md#a"]
    assert harvest.notes == (f"no git repository at {tmp_path}: files only, no commits",)
    assert harvest.origins == (str(tmp_path),)


def test_a_machine_without_git_reads_the_files(repo, monkeypatch, tmp_path):
    repo.commit("Begin", a_md="# A\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    harvest = harvest_path(repo.folder)
    assert [item.source for item in harvest.items] == ["a.md", "a.md#a"]
    assert harvest.notes == ("files only, no commits: the git command is not installed",)


def test_an_empty_repository_has_no_commits_yet(repo):
    harvest = harvest_path(repo.folder)
    assert harvest.items == ()
    assert harvest.notes == ("the repository has no commits yet",)


def test_only_tracked_files_of_the_work_tree_are_read(repo):
    repo.commit("Begin", a_md="# A\n", gone_md="# Gone\n")
    repo.write("untracked.md", "# U\n")
    repo.write("a.md", "# Changed, not committed\n")
    (repo.folder / "gone.md").unlink()
    texts = [item.source for item in harvest_path(repo.folder).items if not item.source.startswith("git:")]
    assert texts == ["a.md", "a.md#changed-not-committed"]


def test_below_the_top_only_what_touches_the_folder_is_read(repo):
    root = repo.commit("Begin", sub__a_md="# A\n")
    repo.commit("Elsewhere", b_md="# B\n")
    last = repo.commit("Here", sub__a_md="# A\n\nmore\n", c_md="# C\n")
    harvest = harvest_path(repo.folder / "sub")
    assert list(commits(harvest)) == [f"git:{root}", f"git:{last}"]
    assert set(links(harvest, EdgeType.TEMPORAL)) == {(f"git:{root}", f"git:{last}")}
    assert links(harvest, EdgeType.ASSOCIATION) == {(f"git:{last}", "a.md"): 1.0}
    assert harvest.origins == (f"git:{root}/sub", str(repo.folder / "sub"))


def test_a_folder_that_git_does_not_track_is_read_as_one_without_git(repo):
    repo.commit("Begin", a_md="# A\n")
    repo.write("notes/b.md", "# B\n")
    harvest = harvest_path(repo.folder / "notes")
    assert [item.source for item in harvest.items] == ["b.md", "b.md#b"]
    assert "git tracks nothing" in harvest.notes[0]


def test_a_bare_repository_gives_its_commits(repo, tmp_path):
    repo.commit("Begin", a_md="# A\n")
    repo.git("clone", "--quiet", "--bare", str(repo.folder), str(tmp_path / "bare"))
    harvest = harvest_path(tmp_path / "bare")
    assert [item.content for item in harvest.items] == ["Begin"]
    assert harvest.notes == ("the repository has no work tree here: commits only, no files",)


def test_the_first_commit_names_the_place_wherever_it_lies(repo, tmp_path):
    root = repo.commit("Begin", a_md="# A\n")
    repo.commit("On")
    moved = repo.folder.rename(tmp_path / "moved")
    assert harvest_path(moved).origins == (f"git:{root}", str(moved))


def raw_commit(repo, author, time):
    """Commit what ``git commit`` would refuse; gives the SHA."""
    tree, parent = repo.git("rev-parse", "HEAD^{tree}"), repo.git("rev-parse", "HEAD")
    head = f"tree {tree}\nparent {parent}\nauthor {author} <x@y> {time} +0000\ncommitter x <x@y> {time} +0000\n"
    made = subprocess.run(
        ["git", "-C", str(repo.folder), "hash-object", "-t", "commit", "-w", "--literally", "--stdin"],
        input=head.encode(errors="surrogateescape") + b"\nbad \xff byte\n",
        check=True,
        capture_output=True,
    )
    sha = made.stdout.decode().strip()
    repo.git("reset", "--quiet", "--hard", sha)
    return sha


def test_odd_encodings_names_times_and_messages_are_survived(repo):
    repo.commit("Begin", z="z")
    repo.write("ü 'ü.md", "# Odd\n")
    repo.write("line\nfeed.md", "# Odder\n")
    odd_name = repo.commit("")
    repo.git("-c", "i18n.commitEncoding=ISO-8859-1", "commit", "--quiet", "--allow-empty", "-m", "=lät\n\nM\x01")
    raw = raw_commit(repo, "\udcff\x01\u200b", "99999999999999")
    no_time = raw_commit(repo, "", "garbage")
    (repo.folder / os.fsdecode(b"\xff.md")).write_text("# Not UTF-8\n")
    repo.commit("Name in other bytes")
    harvest = harvest_path(repo.folder)
    found = commits(harvest)
    assert found[f"git:{odd_name}"].content == "(no message)\n\nFiles: line\nfeed.md, ü 'ü.md"
    assert "=l" in found[f"git:{repo.git('rev-parse', f'{raw}^')}"].content
    assert (found[f"git:{raw}"].content, found[f"git:{raw}"].speaker) == ("bad \ufffd byte", "\ufffd")
    assert found[f"git:{raw}"].occurred_at == 253_402_300_799
    assert (found[f"git:{no_time}"].occurred_at, found[f"git:{no_time}"].speaker) == (0, None)
    assert {item.source for item in harvest.items} - set(found) == {"ü 'ü.md", "ü 'ü.md#odd"}
    assert [note for note in harvest.notes if "line" in note and "rename the file" in note]
    assert len(AgentMemory().remember_many([{"content": i.content, "source": i.source} for i in harvest.items])) == 8


def test_settings_of_the_user_and_of_a_calling_hook_do_not_matter(repo, monkeypatch, tmp_path):
    repo.commit("Begin", z="z")
    repo.commit("On", a_md="# A\n")
    plain = harvest_path(repo.folder)
    settings = {"log.showSignature": "true", "color.ui": "always", "diff.renames": "copies", "log.diffMerges": "on"}
    for number, (key, value) in enumerate(settings.items()):
        monkeypatch.setenv(f"GIT_CONFIG_KEY_{number}", key)
        monkeypatch.setenv(f"GIT_CONFIG_VALUE_{number}", value)
    monkeypatch.setenv("GIT_CONFIG_COUNT", str(len(settings)))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert harvest_path(repo.folder) == plain


def test_a_repository_cannot_make_us_start_its_programs(repo, tmp_path, monkeypatch):
    repo.commit("Begin", a_md="# A\n")
    trap = tmp_path / "trap"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    repo.git("config", "core.fsmonitor", str(trap))
    harvest_path(repo.folder)
    assert not (tmp_path / "sprung").exists()
    start = subprocess.Popen
    without = "core.fsmonitor=false"
    monkeypatch.setattr(
        subprocess, "Popen", lambda command, **how: start([w.replace(without, "a.b=c") for w in command], **how)
    )
    harvest_path(repo.folder)
    assert (tmp_path / "sprung").exists(), "it is the option that keeps the trap from springing"


def test_a_damaged_repository_is_a_named_error(repo):
    repo.commit("Begin", a_md="# A\n")
    sha = repo.commit("On", a_md="# B\n")
    tree = repo.git("rev-parse", f"{sha}^{{tree}}")
    path = repo.folder / ".git" / "objects" / tree[:2] / tree[2:]
    path.chmod(0o644)
    path.unlink()
    with pytest.raises(ImportFormatError, match="git log failed in"):
        harvest_path(repo.folder)


def test_histories_are_bounded(repo, monkeypatch):
    for number in range(3):
        repo.commit(f"Step {number}", a_md=f"# {number}\n")
    monkeypatch.setattr(git, "COMMITS_MAX", 2)
    harvest = harvest_path(repo.folder)
    assert len(commits(harvest)) == 2
    assert harvest.notes == ("only the newest 2 commits were read: history before 2023-11-14 is missing",)


def test_progress_is_told_while_reading(repo, monkeypatch):
    monkeypatch.setattr(git, "_PROGRESS_EVERY", 1)
    repo.commit("Begin", a_md="# A\n")
    told = []
    harvest_path(repo.folder, lambda *news: told.append(news))
    assert told == [("commits", 1, None), ("commits", 1, 1), ("files", 1, 1)]


def test_the_same_repository_gives_the_same_harvest_everywhere(tmp_path):
    def build(folder):
        repo = GitRepo(folder)
        repo.commit("Begin", a_md="# A `run`\n", m_py='"""M."""\ndef run():\n    """Go."""\n')
        repo.commit("On", a_md="# A `run()`\n\n## B\n")
        return harvest_path(folder)

    one, two = build(tmp_path / "one"), build(tmp_path / "two")
    assert (one.items, one.connections) == (two.items, two.connections)


def test_no_repository_is_a_reason_in_one_line(tmp_path):
    repository, why = find_repository(tmp_path)
    assert repository is None
    assert why.startswith("no git repository at")
