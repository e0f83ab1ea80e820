"""Which host a memory belongs to: a pure function of its name and of the hosts that are alive.

A name falls into one of 64 virtual shards. A shard belongs to the host whose hash together with it is highest
(rendezvous hashing: Thaler and Ravishankar, "Using name-based mappings to increase hit rates", IEEE/ACM ToN 6(1), 1998,
https://doi.org/10.1109/90.663936). So a host that joins takes an equal share from each of the others, and one that
leaves gives its own to them; nothing else moves.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from msgspec import Struct

from memorygraph.events.errors import InputError

SHARDS: Final = 64
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}\Z")


class Member(Struct, frozen=True):
    """A host: its name, and the address that a transport finds it by."""

    name: str
    address: str


class Table(Struct, frozen=True):
    """The hosts that are alive, by name; ``version`` rises with each change."""

    version: int = 0
    members: tuple[Member, ...] = ()

    def owner(self, memory: str) -> Member | None:
        """Return the host that a memory belongs to; None: there is no host."""
        shard = shard_of(memory)
        return max(self.members, key=lambda member: (_weight(member.name, shard), member.name), default=None)

    def member(self, name: str) -> Member | None:
        """Return the host of a name."""
        return next((member for member in self.members if member.name == name), None)


def shard_of(memory: str) -> int:
    """Return the virtual shard of a memory, 0..63."""
    return _hash(memory) % SHARDS


def require_name(kind: str, name: str) -> str:
    """Check the name of a memory, a host or a room: it becomes a folder, or part of an address.

    Raises:
        InputError: it is not one.
    """
    if not isinstance(name, str) or not NAME.match(name):
        raise InputError(
            f"{kind} must be 1 to 64 of a-z, 0-9, _ and -, beginning with a letter or digit, not {name!r:.80}"
        )
    return name


def _weight(host: str, shard: int) -> int:
    return _hash(f"{shard}\0{host}")


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
