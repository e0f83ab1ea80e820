"""Writing files whole or not at all."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from memorygraph import checks
from memorygraph.events.disk import OsDisk
from memorygraph.events.errors import StoreError
from memorygraph.events.stores.directory import named_errors


@contextmanager
def replacing(path: str | Path) -> Iterator[IO[bytes]]:
    """Write to a new file beside ``path`` that takes its place when it is complete and on disk.

    A file that is replaced passes on its mode.
    """
    with replacing_path(path) as name, name.open("r+b") as file:
        yield file


@contextmanager
def replacing_path(path: str | Path, before: Callable[[], None] | None = None) -> Iterator[Path]:
    """Give the name of a new, empty file beside ``path`` that takes its place when the block has filled it.

    Args:
        before: called when the new file is on disk and has not taken the place yet.

    Raises:
        StoreError: the folder is not there, or the file cannot be written.
    """
    target = checks.path("path", path)
    if not target.parent.is_dir():
        raise StoreError(f"{target}: cannot write the file: no such folder: {target.parent}", path=str(target))
    with named_errors(str(target), "write the file"):
        name = target.parent / f".{target.name}.{os.urandom(8).hex()}"
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            descriptor = os.open(name, flags, 0o666 if mode is None else 0o600)
            try:
                yield name
                if mode is not None:
                    os.fchmod(descriptor, mode)  # last: the block opens the file by its name
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if before is not None:
                before()
            name.replace(target)
        except BaseException:
            name.unlink(missing_ok=True)
            raise
        OsDisk().sync_directory(str(target.parent))
