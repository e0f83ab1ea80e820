"""Signed heads: who holds the public key and one of these can tell whether the log was rolled back or rewritten.

A signed head says: this memory, at this position, had this chain. The chain ties down every record up to there, so a
log that has another one at that position is not the log that was signed, and one that ends before it was cut.

A heads file is JSON lines, one head each; the writer appends, and an auditor keeps a copy where the writer of the log
cannot change it. Pure functions, but for the last two, which read and append to such a file.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from memorygraph.events.disk import OsDisk
from memorygraph.events.errors import ImportFormatError, StoreError
from memorygraph.events.frames import chain_after, frame_header
from memorygraph.events.keys import Signer, is_signed_by, key_id
from memorygraph.events.log import Head

DOMAIN: Final = b"memorygraph signed head 1\0"
"""Goes before what is signed, so that a signature made for something else is never one of a head."""
LOCK_TIMEOUT_S: Final = 10.0
_SIGNED: Final = struct.Struct("<16sQ32sIq")  # memory id, position, chain, epoch, time


class SignedHead(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a log ended, and who says so. Ids, chain, key and signature are hexadecimal; the time is microseconds."""

    memory_id: str
    position: int
    chain: str
    epoch: int
    time_us: int
    public_key: str
    signature: str

    @property
    def key_id(self) -> str:
        """The short name of the key that it says it is signed with."""
        return key_id(bytes.fromhex(self.public_key))

    def message(self) -> bytes:
        """Return the bytes that are signed.

        Raises:
            ValueError: a field does not have its size.
        """
        memory_id, chain = bytes.fromhex(self.memory_id), bytes.fromhex(self.chain)
        if len(memory_id) != 16 or len(chain) != 32:  # noqa: PLR2004 - bytes of an id and of a SHA-256
            raise ValueError("a memory id has 16 bytes and a chain 32")
        try:
            return DOMAIN + _SIGNED.pack(memory_id, self.position, chain, self.epoch, self.time_us)
        except struct.error as error:
            raise ValueError("a number is out of range") from error


class HeadFault(Enum):
    """What is wrong between a signed head and a log; the worse, the later."""

    ROLLED_BACK = "rolled back"
    REWRITTEN = "rewritten"
    FORGED = "forged"
    OTHER_MEMORY = "other memory"


class HeadFinding(Struct, frozen=True):
    """One fault: of the n-th head given (from 1), at its position, in words."""

    number: int
    position: int
    fault: HeadFault
    message: str


class HeadsReport(Struct, frozen=True):
    """The outcome of holding heads against a log.

    ``agreeing`` heads are signed and true of the log, the last of them at ``position`` (0: none). ``unchecked`` ones
    are of positions that a damaged log does not let one read. ``keys`` are the ids of the keys that signed.
    """

    heads: int
    agreeing: int
    position: int
    unchecked: int
    keys: tuple[str, ...]
    findings: tuple[HeadFinding, ...] = ()

    @property
    def good(self) -> bool:
        """Whether every head agrees."""
        return self.agreeing == self.heads


def sign_head(signer: Signer, memory_id: bytes, head: Head, time_us: int) -> SignedHead:
    """Sign where a log ends."""
    unsigned = SignedHead(
        memory_id=memory_id.hex(),
        position=head.position,
        chain=head.chain.hex(),
        epoch=head.epoch,
        time_us=time_us,
        public_key=signer.public_key.hex(),
        signature="",
    )
    return msgspec.structs.replace(unsigned, signature=signer.sign(unsigned.message()).hex())


def chains_at(frames: Iterable[bytes], positions: Iterable[int]) -> dict[int, bytes]:
    """Give the chain after each of the positions that ends a frame; the frames follow on each other."""
    wanted = set(positions)
    last_wanted = max(wanted, default=0)
    found: dict[int, bytes] = {}
    for frame in frames:
        header = frame_header(frame)
        if header.first > last_wanted:
            break
        if header.last in wanted:
            found[header.last] = chain_after(frame, header)
    return found


def check_heads(
    heads: Sequence[SignedHead],
    *,
    memory_id: bytes,
    end: Head,
    chains: Mapping[int, bytes],
    key: bytes | None = None,
    damaged: bool = False,
) -> HeadsReport:
    """Hold signed heads against a log that was found whole up to ``end``.

    Args:
        heads: what was signed.
        memory_id: of the log, 16 bytes.
        end: where it ends, or where damage begins.
        chains: the log's chain at the heads' positions, where a frame ends there.
        key: the 32 bytes of the one public key to trust; None: each head's own is taken, which proves only that the
            heads are unchanged since somebody signed them.
        damaged: whether the log goes on behind ``end`` in a way that cannot be read.
    """
    findings: list[HeadFinding] = []
    agreeing: list[int] = []
    unchecked = 0
    for number, head in enumerate(heads, 1):
        said = _forgery(head, key)
        fault = HeadFault.FORGED
        if not said and head.memory_id != memory_id.hex():
            fault, said = HeadFault.OTHER_MEMORY, f"it is of memory {head.memory_id}, and this is {memory_id.hex()}"
        elif not said and head.position > end.position:
            if damaged:
                unchecked += 1
                continue
            fault, said = HeadFault.ROLLED_BACK, f"the log ends at position {end.position}"
        elif not said and chains.get(head.position) != bytes.fromhex(head.chain):
            fault, said = HeadFault.REWRITTEN, "the log has another chain there than the one that was signed"
        if said:
            findings.append(HeadFinding(number, head.position, fault, said))
        else:
            agreeing.append(head.position)
    return HeadsReport(
        heads=len(heads),
        agreeing=len(agreeing),
        position=max(agreeing, default=0),
        unchecked=unchecked,
        keys=tuple(dict.fromkeys(head.key_id for head in heads)),
        findings=tuple(findings),
    )


def _forgery(head: SignedHead, key: bytes | None) -> str:
    """Say why a head is not signed by the key it should be signed by; '' if it is."""
    public_key = bytes.fromhex(head.public_key)
    if not is_signed_by(public_key, bytes.fromhex(head.signature), head.message()):
        return "the signature does not belong to what it says"
    if key not in {None, public_key}:
        return f"it is signed by another key ({head.key_id}) than the one given ({key_id(key or b'')})"
    return ""


def encode_head(head: SignedHead) -> bytes:
    """Return a head as a line of a heads file."""
    return msgspec.json.encode(head) + b"\n"


def decode_heads(data: bytes, where: str) -> list[SignedHead]:
    """Read the lines of a heads file. A last line that was cut while it was written is left out.

    A whole head counts without its line's end, too: editors, shells and mail take that away.

    Raises:
        ImportFormatError: a line is not a signed head.
    """
    heads = []
    for number, line in enumerate(data.splitlines(keepends=True), 1):
        try:
            head = _decoded(line)
        except (ValueError, RecursionError) as error:
            if not line.endswith(b"\n"):
                break
            raise ImportFormatError(
                f"line {number} of {where} is not a signed head", where=where, line=number
            ) from error
        heads.append(head)
    return heads


def _decoded(line: bytes) -> SignedHead:
    head = msgspec.json.decode(line, type=SignedHead)
    head.message()
    bytes.fromhex(head.public_key + head.signature)
    return head


def read_heads(path: str | Path) -> list[SignedHead]:
    """Read a heads file.

    Raises:
        ImportFormatError: it cannot be read, or is something else.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise ImportFormatError(f"{path} cannot be read: {error.strerror}", path=str(path)) from error
    return decode_heads(data, str(path))


def append_head(path: str | Path, head: SignedHead) -> None:
    """Append a head to a heads file, made if it is not there; durable when this returns.

    Raises:
        StoreError: it cannot be written.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        with os.fdopen(fd, "r+b", buffering=0) as file:
            if not OsDisk().lock(fd, LOCK_TIMEOUT_S):  # until the file is closed; readers need none
                raise StoreError(f"{path}: another process holds the file of signed heads", path=str(path))
            _end_last_line(fd)
            file.write(encode_head(head))
            os.fsync(fd)
    except OSError as error:
        raise StoreError(f"{path}: cannot write the signed head: {error.strerror}", path=str(path)) from error


def _end_last_line(fd: int) -> None:
    """Give the last line its end if it is whole; else its writer died, and it is taken away. The lock is held."""
    size_bytes = os.fstat(fd).st_size
    tail = os.pread(fd, min(size_bytes, 4096), max(0, size_bytes - 4096))
    line = tail[tail.rfind(b"\n") + 1 :]
    if line:
        try:
            _decoded(line)
            os.write(fd, b"\n")
        except (ValueError, RecursionError):
            os.ftruncate(fd, size_bytes - len(line))
