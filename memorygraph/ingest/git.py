"""Commits as episodes, read by calling the ``git`` command; nothing is ever written to the repository.

A commit becomes an EPISODIC item ``git:<SHA>`` at its commit time, spoken by its author. It is TEMPORAL successor of
its first parent, and ASSOCIATEd with the files it touched, each with weight 1/files: a commit that touches much says
little about each. Commits of more than 50 files, merges (their branches tell), and commits that git shows without a
parent (roots, and the boundary of a shallow clone, which seem to touch everything) are associated with none.

Files that were renamed whole are followed, so an old commit leads to the file under today's name. Only identical
contents count as a rename: that needs no file contents, which a partial clone may not have.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from memorygraph.events.errors import ImportFormatError
from memorygraph.events.types import EdgeType, MemoryType
from memorygraph.ingest.harvest import Connection, Harvest, Item, Progress, cut, label

COMMITS_MAX = 200_000
TOUCHED_FILES_MAX = 50
_LISTED_FILES_MAX = 8
_PROGRESS_EVERY = 500
_LATEST_S = 253_402_300_799  # the end of the year 9999; broken clocks lie beyond it
_START = "="  # marks a commit's first field; a change's status, which may stand in its place, is a letter
_FORMAT = f"--format={_START}%H%x00%P%x00%aN%x00%ct%x00%B%x00"
# What an environment may carry over from a git hook or alias that is running us in another repository.
_LOCAL_VARIABLES = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
)


class Repository(Struct, frozen=True):
    """A folder in a git repository: its path within the work tree ('' for the top), and what is special about it."""

    folder: Path
    prefix: str
    has_tree: bool
    has_commits: bool
    is_shallow: bool

    def files(self) -> list[str]:
        """Return the names of the tracked files below the folder, relative to it."""
        return list(_fields(self.folder, "ls-files", "-z")) if self.has_tree else []

    def root(self) -> str:
        """Return the SHA of the commit that the chain of first parents starts from."""
        return "".join(_fields(self.folder, "rev-list", "--max-parents=0", "--first-parent", "HEAD")).strip()


class _Commit(Struct, frozen=True, gc=False):
    sha: str
    parents: tuple[str, ...]
    author: str
    time_s: int
    message: str
    touched: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]  # (old name, new name)


def find_repository(folder: Path) -> tuple[Repository | None, str]:
    """Return the repository that a folder lies in, or None and, in one line, why there is none."""
    questions = ("--is-inside-work-tree", "--is-shallow-repository", "--show-prefix")
    try:
        in_tree, shallow, prefix, *_ = [*"".join(_fields(folder, "rev-parse", *questions)).split("\n"), ""]
        head = "".join(_fields(folder, "rev-parse", "--revs-only", "HEAD"))
    except ImportFormatError as error:
        if "not a git repository" in error.message:
            return None, f"no git repository at {folder}: files only, no commits"
        return None, f"files only, no commits: {error.message}"
    return Repository(folder, prefix, in_tree == "true", bool(head), shallow == "true"), ""


def read_commits(repository: Repository, progress: Progress | None = None) -> Harvest:
    """Read the history of HEAD, oldest commit first; below the repository's top, the commits that touch the folder.

    The associations lead to file names, whether or not there is an item for them.

    Raises:
        ImportFormatError: git failed, with what it said.
    """
    if not repository.has_commits:
        return Harvest((), (), ("the repository has no commits yet",))
    commits: list[_Commit] = []
    connections: list[Connection] = []
    names: dict[str, str] = {}  # old name -> today's, of the renames newer than the commit at hand
    for commit in _log(repository.folder):
        connections += _associations(commit, names)
        names.update([(old, names.get(new, new)) for old, new in commit.renamed])
        commits.append(commit)
        if progress is not None and len(commits) % _PROGRESS_EVERY == 0:
            progress("commits", len(commits), None)
    if progress is not None:
        progress("commits", len(commits), len(commits))
    commits.reverse()
    connections.reverse()
    kept = [commit for commit in commits if commit.touched] if repository.prefix else commits
    links = _succession(commits, {commit.sha for commit in kept})
    return Harvest(
        tuple(_item(commit) for commit in kept), (*links, *connections), tuple(_remarks(repository, commits))
    )


def _succession(commits: list[_Commit], kept: set[str]) -> Iterator[Connection]:
    """Give first parent -> child, oldest first; commits that are not kept are passed over to the nearest that is."""
    nearest: dict[str, str] = {}
    for commit in commits:
        before = nearest.get(commit.parents[0]) if commit.parents else None
        if commit.sha in kept:
            nearest[commit.sha] = commit.sha
            if before is not None:
                yield Connection(f"git:{before}", f"git:{commit.sha}", EdgeType.TEMPORAL, 0.5)
        elif before is not None:
            nearest[commit.sha] = before


def _associations(commit: _Commit, names: dict[str, str]) -> list[Connection]:
    if not commit.parents or not 0 < len(commit.touched) <= TOUCHED_FILES_MAX:
        return []
    weight = 1 / len(commit.touched)
    source = f"git:{commit.sha}"
    return [Connection(source, names.get(name, name), EdgeType.ASSOCIATION, weight) for name in commit.touched]


def _item(commit: _Commit) -> Item:
    content = commit.message.strip() or "(no message)"
    if commit.parents and 0 < len(commit.touched) <= _LISTED_FILES_MAX:
        content = f"{content}\n\nFiles: {', '.join(commit.touched)}"
    return Item(
        source=f"git:{commit.sha}",
        content=cut(content),
        memory_type=MemoryType.EPISODIC,
        occurred_at=float(commit.time_s),
        speaker=label(commit.author),
        tags=("commit",),
    )


def _remarks(repository: Repository, commits: list[_Commit]) -> Iterator[str]:
    if not repository.has_tree:
        yield "the repository has no work tree here: commits only, no files"
    oldest = datetime.fromtimestamp(min(commit.time_s for commit in commits), UTC).date()
    if repository.is_shallow:
        yield f"shallow clone: history before {oldest} is missing (git fetch --unshallow gets it)"
    if len(commits) == COMMITS_MAX:
        yield f"only the newest {COMMITS_MAX} commits were read: history before {oldest} is missing"


def _log(folder: Path) -> Iterator[_Commit]:
    """Give the commits of HEAD, newest first.

    git prints, each ended by NUL: the five fields of ``_FORMAT``, an empty one, and for each change its status (a line
    feed before the first) and one name, or two for a rename.
    """
    options = ("-z", "--topo-order", "--name-status", "-M100%", "--relative", "--root", "--no-ext-diff")
    output = ("--no-show-signature", "--no-notes", "--no-color", "--encoding=UTF-8", "--no-diff-merges", _FORMAT)
    fields = _fields(folder, "log", f"--max-count={COMMITS_MAX}", *options, *output, "HEAD", "--")
    start = next(fields, "")
    while start:
        parents, author, time_s, message = (next(fields), next(fields), next(fields), next(fields))
        next(fields)
        touched: list[str] = []
        renamed: list[tuple[str, str]] = []
        status = next(fields, "")
        while status and not status.startswith(_START):
            name = next(fields)
            if status.strip()[0] == "R":
                renamed.append((name, name := next(fields)))
            touched.append(name)
            status = next(fields, "")
        sha = start.removeprefix(_START)
        moment_s = min(int(time_s or 0), _LATEST_S)
        yield _Commit(sha, tuple(parents.split()), author, moment_s, message, tuple(touched), tuple(renamed))
        start = status


def _fields(folder: Path, *arguments: str) -> Iterator[str]:
    """Run a git command that only reads, and give its output split at NUL bytes; the last field only if not empty.

    Raises:
        ImportFormatError: git is not installed, or failed; the message holds the first line it said.
    """
    # A repository's own configuration can name a program for core.fsmonitor, which listing files would start.
    command = ["git", "-C", str(folder), "--no-pager", "-c", "core.fsmonitor=false", *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in _LOCAL_VARIABLES}
    environment |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"}
    with tempfile.TemporaryFile() as said:  # not a pipe: nobody reads it until git has ended
        try:
            process = subprocess.Popen(  # noqa: S603  the arguments are ours and a path; no shell
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, env=environment
            )
        except FileNotFoundError as error:
            raise ImportFormatError("the git command is not installed", file=str(folder)) from error
        with process:
            assert process.stdout is not None  # we asked for the pipe
            rest = b""
            while block := process.stdout.read(1 << 16):
                *whole, rest = (rest + block).split(b"\0")
                for field in whole:
                    yield field.decode(errors="replace")
        if process.returncode != 0:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines() or ["it said nothing"]
            raise ImportFormatError(
                f"git {arguments[0]} failed in {folder}: {lines[0]}", file=str(folder), found=process.returncode
            )
    if rest:
        yield rest.decode(errors="replace")
