"""Decide what a path is, read it, and bring a memory in line with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from memorygraph.events.errors import ImportFormatError, InputError
from memorygraph.ingest.chat import read_chat
from memorygraph.ingest.docstrings import link_mentions, read_python
from memorygraph.ingest.files import CHAT_BYTES_MAX, as_text, read_bytes, regular, walk
from memorygraph.ingest.git import Repository, find_repository, read_commits
from memorygraph.ingest.harvest import Harvest, Progress, between, distinct
from memorygraph.ingest.markdown import read_markdown, read_plain
from memorygraph.ingest.reconcile import SyncReport, sync

if TYPE_CHECKING:
    from memorygraph.agent import AgentMemory

_PROGRESS_EVERY = 50
_NOTES_MAX = 20


def _text_reader(read: Callable[[str, str], Harvest]) -> Callable[[str, bytes], Harvest]:
    return lambda name, data: read(name, as_text(data, name))


_READERS: dict[str, Callable[[str, bytes], Harvest]] = {
    ".md": _text_reader(read_markdown),
    ".markdown": _text_reader(read_markdown),
    ".txt": _text_reader(read_plain),
    ".rst": _text_reader(read_plain),
    ".py": read_python,
}
_CHAT_SUFFIX = ".jsonl"


def ingest(
    memory: AgentMemory, path: str | Path, progress: Progress | None = None, origin: str | None = None
) -> SyncReport:
    """Remember a folder, a git repository or a file, or bring an earlier ingest of it up to date.

    ``origin`` names the place in the memory. By default it is the repository's first commit and the folder in it, so
    that it stays known when it is moved; without git, the path. Clones and forks of one repository are one place: what
    the one read last does not have is forgotten. Give them origins of their own to keep them side by side.

    Raises:
        InputError: there is nothing at the path.
        ImportFormatError: a single file is not what its name says, or git failed.
    """
    harvest = harvest_path(path, progress)
    names = (origin,) if origin is not None else harvest.origins
    return sync(memory, harvest, origin=names[0], former_origins=names[1:], progress=progress)


def harvest_path(path: str | Path, progress: Progress | None = None) -> Harvest:
    """Read a folder (its commits, texts and docstrings), a chat log (.jsonl), or a text or Python file.

    In a folder, files that cannot be read are noted and skipped; elsewhere that is an error.

    Raises:
        InputError: there is nothing at the path.
        ImportFormatError: a single file is not what its name says, or git failed.
    """
    place = Path(path).expanduser().resolve()
    if place.is_dir():
        return _harvest_folder(place, progress)
    if not place.exists():
        raise InputError(f"{path} does not exist; give a folder, a git repository or a file", path=str(path))
    return _harvest_file(place)


def _harvest_file(path: Path) -> Harvest:
    suffix = path.suffix.lower()
    if suffix == _CHAT_SUFFIX:
        harvest = read_chat(path.name, as_text(read_bytes(path, path.name, CHAT_BYTES_MAX), path.name))
    elif suffix in _READERS:
        harvest = _READERS[suffix](path.name, read_bytes(path, path.name))
    else:
        known = ", ".join([_CHAT_SUFFIX, *_READERS])
        message = f"{path.name}: files of this kind cannot be ingested; known are {known}, folders and git repositories"
        raise ImportFormatError(message, file=path.name)
    return _complete([harvest], origins=(str(path),), notes=harvest.notes)


def _harvest_folder(folder: Path, progress: Progress | None) -> Harvest:
    repository, note = find_repository(folder)
    tracked = repository.files() if repository else []
    if repository and repository.prefix and not tracked:
        repository, note = None, f"git tracks nothing in {folder}: read as a folder without git"
    if repository is None:
        names, unread = walk(folder)
        texts, skipped = _read_files(folder, names, progress)
        skipped = unread | skipped
        return _complete(texts, origins=(str(folder),), notes=(note, *skipped.values()), skipped=skipped)
    history = read_commits(repository, progress)
    texts, skipped = _read_files(folder, tracked, progress)
    notes = (*history.notes, *skipped.values())
    return _complete([*texts, history], origins=_origins(repository), notes=notes, skipped=skipped)


def _origins(repository: Repository) -> tuple[str, ...]:
    """Return the names of a repository's folder; the first commit is known only where history is whole."""
    path = str(repository.folder)
    if repository.is_shallow or not repository.has_commits:
        return (path,)
    return f"git:{repository.root()}/{repository.prefix}".rstrip("/"), path


def _read_files(folder: Path, names: Iterable[str], progress: Progress | None) -> tuple[list[Harvest], dict[str, str]]:
    """Return what the files give that have a reader, and why others of them could not be read."""
    wanted = regular(folder, [name for name in names if PurePosixPath(name).suffix.lower() in _READERS])
    found: list[Harvest] = []
    skipped: dict[str, str] = {}
    for number, name in enumerate(wanted, start=1):
        try:
            found.append(_READERS[PurePosixPath(name).suffix.lower()](name, read_bytes(folder / name, name)))
        except ImportFormatError as error:
            skipped[name] = str(error)
        if progress is not None and (number % _PROGRESS_EVERY == 0 or number == len(wanted)):
            progress("files", number, len(wanted))
    return found, skipped


def _complete(
    parts: list[Harvest], origins: tuple[str, ...], notes: tuple[str, ...] = (), skipped: Iterable[str] = ()
) -> Harvest:
    """Join parts, and add the connections between documents and docstrings."""
    items = distinct(item for part in parts for item in part.items)
    connections = [one for part in parts for one in part.connections]
    if len(notes) > _NOTES_MAX:
        notes = (*notes[:_NOTES_MAX], f"and {len(notes) - _NOTES_MAX} more remarks")
    return Harvest(items, between(items, [*connections, *link_mentions(items)]), notes, tuple(skipped), origins)
