"""Files of a folder: which there are, and their bytes, bounded and never through a symbolic link.

A link to a file of the folder would only double it, and a link out of the folder leads to what nobody asked to read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from memorygraph.events.errors import ImportFormatError

FILE_BYTES_MAX = 4 << 20
CHAT_BYTES_MAX = 256 << 20
NAME_LENGTH_MAX = 300  # leaves room for the rest of a source, such as a heading's slug
_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "site-packages"})


def walk(folder: Path) -> tuple[list[str], dict[str, str]]:
    """Return the names (relative, with /) of the files below a folder, and why folders in it could not be read.

    Hidden files and folders, ``node_modules``, caches and virtual environments (a ``pyvenv.cfg`` tells) are left out.

    Raises:
        ImportFormatError: the folder itself cannot be read.
    """
    found: list[str] = []
    unread: dict[str, str] = {}

    def note(error: OSError) -> None:
        name = Path(error.filename).relative_to(folder).as_posix()
        unread[name] = f"{name!a}: the folder cannot be read ({error.strerror})"

    for where, folders, files in os.walk(folder, onerror=note):
        if "pyvenv.cfg" in files:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _SKIPPED_FOLDERS]
        base = Path(where).relative_to(folder)
        found += [(base / name).as_posix() for name in files if not name.startswith(".")]
    if "." in unread:
        raise ImportFormatError(f"{folder}: {unread['.'].partition(': ')[2]}", file=str(folder))
    return found, unread


def regular(folder: Path, names: Iterable[str]) -> list[str]:
    """Return, sorted, the names that are files in the folder itself: there, not links, not reached through links."""
    root = os.path.realpath(folder)

    def is_own(name: str) -> bool:
        path = os.path.join(root, name)  # noqa: PTH118  pathlib costs 4 times as much, for every file of a tree
        return os.path.realpath(path) == path and os.path.isfile(path)  # noqa: PTH113

    return sorted(name for name in names if is_own(name))


def read_bytes(path: Path, name: str, size_bytes_max: int = FILE_BYTES_MAX) -> bytes:
    """Return a file's bytes; ``name`` is what messages call it.

    Raises:
        ImportFormatError: it is too large, cannot be read, or holds NUL bytes, which no text does; or its name could
            not be an item's source.
    """
    if not name.isprintable() or len(name) > NAME_LENGTH_MAX:
        message = f"{name!a}: a name must be of at most {NAME_LENGTH_MAX} printable characters; rename the file"
        raise ImportFormatError(message, file=ascii(name))
    try:
        size_bytes = path.stat().st_size
        data = path.read_bytes() if size_bytes <= size_bytes_max else None
    except OSError as error:
        raise ImportFormatError(f"{name}: cannot be read ({error.strerror})", file=name) from error
    if data is None:
        message = f"{name}: {size_bytes} bytes, more than the {size_bytes_max} that are read of one file"
        raise ImportFormatError(message, file=name, found=size_bytes, expected=size_bytes_max)
    if b"\0" in data:
        raise ImportFormatError(f"{name}: not a text file (it holds NUL bytes)", file=name)
    return data


def as_text(data: bytes, name: str) -> str:
    """Decode UTF-8 (a byte order mark is dropped) with line feeds as line ends.

    Raises:
        ImportFormatError: the bytes are not UTF-8.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        message = f"{name}: not UTF-8 text (byte {error.start}); convert it to UTF-8"
        raise ImportFormatError(message, file=name, found=error.start) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")
