"""Files of signed heads, beside a log or kept elsewhere: reading, writing and adding to them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from memorygraph.actors.signing import heads_path
from memorygraph.events.heads import SignedHead, encode_head, read_heads
from memorygraph.replacing import replacing


def heads_in(folder: Path) -> list[SignedHead]:
    """Read the signed heads that are kept in a folder.

    Raises:
        ImportFormatError: the file that holds them is damaged.
    """
    path = Path(heads_path(str(folder)))
    return read_heads(path) if path.exists() else []


def keep_heads(heads: Iterable[SignedHead], folder: Path) -> None:
    """Keep signed heads in a folder, in the order of their positions."""
    ordered = sorted(heads, key=lambda head: (head.position, head.time_us))
    if ordered != heads_in(folder):
        write_heads(heads_path(str(folder)), ordered)


def write_heads(path: str | Path, heads: Iterable[SignedHead]) -> None:
    """Write signed heads as one file, whole or not at all.

    Raises:
        StoreError: it cannot be written.
    """
    with replacing(path) as file:
        for head in heads:
            file.write(encode_head(head))


def add_heads(path: str | Path, heads: Iterable[SignedHead]) -> list[SignedHead]:
    """Add signed heads to a file of them and return those that it had besides; none is ever taken out of it.

    A log that was rolled back has fewer heads beside it than who kept them.

    Raises:
        ImportFormatError: the file is there and is something else.
        StoreError: it cannot be written.
    """
    there = read_heads(path) if Path(path).exists() else []
    added = dict.fromkeys(heads)
    write_heads(path, dict.fromkeys([*there, *added]))
    return [head for head in there if head not in added]
