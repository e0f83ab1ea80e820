"""Signing the head of a log every so many commits."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from memorygraph.events.heads import SignedHead, append_head, sign_head
from memorygraph.events.keys import Signer
from memorygraph.events.log import EventLog, Head
from memorygraph.events.ports import Clock

HEADS_FILE: Final = "heads.jsonl"


def heads_path(location: str) -> str:
    """Return the path of the heads file of a store."""
    return str(Path(location) / HEADS_FILE)


class HeadSigner:
    """Signs a log's head after every ``every`` commits of this process, and once more when it is closed.

    A head that cannot be written takes nothing back: the commits are durable. It is noted, and the next commit tries
    again.

    Args:
        signer: the key.
        log: whose heads; they go into ``heads.jsonl`` in its folder.
        every: how many commits, from 1.
    """

    def __init__(self, signer: Signer, log: EventLog, *, every: int, clock: Clock) -> None:
        self.path = heads_path(log.location)
        self.notes: tuple[str, ...] = ()
        self._signer = signer
        self._memory_id = log.memory_id
        self._every = every
        self._clock = clock
        self._commits = 0  # since the last signed head
        self._newest: Head | None = None  # of this process, if it is not signed

    def committed(self, head: Head) -> None:
        """Take note of a commit that is durable; one caller at a time."""
        self._commits += 1
        self._newest = head
        if self._commits >= self._every:
            self._sign_newest()

    def sign(self, head: Head) -> SignedHead:
        """Sign a durable head and append it to the heads file.

        Raises:
            StoreError: it cannot be written.
        """
        signed = sign_head(self._signer, self._memory_id, head, self._clock.now_us())
        append_head(self.path, signed)
        self._commits, self._newest, self.notes = 0, None, ()
        return signed

    def close(self) -> None:
        """Sign what is not signed yet."""
        if self._newest is not None:
            self._sign_newest()

    def _sign_newest(self) -> None:
        assert self._newest is not None
        try:
            self.sign(self._newest)
        except Exception as error:  # noqa: BLE001 - a signer from elsewhere may fail in any way
            self.notes = (f"the head at position {self._newest.position} is not signed: {error}",)
