"""The stand-alone verifier: it needs nothing of ours, and says what the library says of every file."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from struct import pack, unpack_from

import msgpack
import pytest
from crc32c import crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from memorygraph import AgentMemory
from memorygraph.events.errors import DamagedLog, ImportFormatError, NewerFormat
from memorygraph.events.exports import end_mark, heading, read_export
from memorygraph.events.frames import HEADER_BYTES, NO_CHAIN, encode_frame, frame_header, with_hashes
from memorygraph.events.stores import SegmentLog
from tests.events.make_golden import STORE

SCRIPT = Path(__file__).resolve().parents[2] / "deploy" / "verify_log.py"
MEMORY_ID = bytes(range(16))

_spec = importlib.util.spec_from_file_location("verify_log", SCRIPT)
verify_log = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(verify_log)


def small_export(*, is_excerpt=False):
    """Three frames, one of them with a record of which only the hash is kept."""
    chain, first, parts = NO_CHAIN, 1, [heading(MEMORY_ID, is_excerpt=is_excerpt)]
    for records in ([b"one"], [b"two", b"three" * 10, b""], [b"four"]):
        options = {"memory_id": MEMORY_ID, "first": first, "time_us": first, "epoch": 1, "chain": chain}
        frame, chain = encode_frame(records, **options)
        parts.append(with_hashes(frame, frame_header(frame), [3]))
        first += len(records)
    return b"".join([*parts, end_mark(first - 1, chain)])


EXPORT = small_export()
FRAMES_AT = [24]
while EXPORT[FRAMES_AT[-1] :][:4] == b"MGF1":
    FRAMES_AT.append(FRAMES_AT[-1] + frame_header(EXPORT[FRAMES_AT[-1] :]).size_bytes)
FRAMES_AT.pop()


def library(data):
    """What the library says of a file."""
    try:
        found = read_export(data, "file")
    except (DamagedLog, NewerFormat):
        return "damaged"
    except ImportFormatError:
        return "no log"
    return found.head.position, found.head.chain, found.head.epoch, found.is_excerpt


def tool(data):
    """What the stand-alone verifier says of it."""
    try:
        log, kind = verify_log.check_export(data)
    except verify_log.Damaged:
        return "damaged"
    except verify_log.NoLog:
        return "no log"
    return log.position, log.chain, log.epoch, kind == "an excerpt"


def with_right_sums(data):
    """The same bytes with every frame's checksum made right, as somebody would who knows the format."""
    fixed = bytearray(data)
    for at in FRAMES_AT:
        body_bytes = unpack_from("<I", fixed, at + 8)[0]
        fixed[at + 4 : at + 8] = pack("<I", crc32c(fixed[at + 8 : at + HEADER_BYTES + body_bytes]))
    return bytes(fixed)


def test_a_good_file_is_good_to_both():
    assert library(EXPORT) == tool(EXPORT)
    assert library(EXPORT)[0] == 5
    excerpt = small_export(is_excerpt=True)
    assert library(excerpt) == tool(excerpt)
    assert library(excerpt)[3]


def check_every_byte(says):
    for at in range(len(EXPORT)):
        for flip in (0x01, 0x80, 0xFF):
            data = EXPORT[:at] + bytes([EXPORT[at] ^ flip]) + EXPORT[at + 1 :]
            found = says(data)
            assert found == library(data), (at, flip)
            assert isinstance(found, str) or (at, found[3]) == (3, True), (at, flip)


def test_both_see_every_changed_byte():
    check_every_byte(tool)


def test_both_see_every_cut_and_every_addition():
    for at in range(len(EXPORT)):
        assert tool(EXPORT[:at]) == library(EXPORT[:at])
        assert isinstance(tool(EXPORT[:at]), str), at
    for more in (b"\0", EXPORT[FRAMES_AT[-1] :], EXPORT):
        assert tool(EXPORT + more) == library(EXPORT + more) == "damaged"


def test_both_see_frames_that_are_missing_doubled_or_in_another_order():
    parts = [EXPORT[start:end] for start, end in zip(FRAMES_AT, [*FRAMES_AT[1:], len(EXPORT) - 48], strict=True)]
    head, tail = EXPORT[:24], EXPORT[-48:]
    for order in ([1, 2], [0, 2], [0, 1], [0, 0, 1, 2], [1, 0, 2], [0, 2, 1], []):
        data = head + b"".join(parts[number] for number in order) + tail
        assert tool(data) == library(data) == "damaged", order


CHANGES = st.lists(st.tuples(st.integers(0, len(EXPORT) - 1), st.integers(0, 255)), min_size=1, max_size=4)


@settings(max_examples=400)
@given(CHANGES)
def test_both_say_the_same_of_a_file_that_was_changed_by_somebody_who_knows_the_format(changes):
    data = bytearray(EXPORT)
    for at, value in changes:
        data[at] = value
    fixed = with_right_sums(data)
    assert tool(fixed) == library(fixed)
    if fixed[24:] != EXPORT[24:]:
        assert isinstance(tool(fixed), str) or same_records(fixed)


def same_records(data):
    """Whether every record has the bytes it had; a frame may be written in several ways that say the same."""
    listed = [(entry.position, entry.digest or entry.data) for entry in read_export(data, "file").entries()]
    return listed == [(entry.position, entry.digest or entry.data) for entry in read_export(EXPORT, "file").entries()]


BODIES = st.lists(
    st.one_of(
        st.binary(max_size=40).map(msgpack.packb),
        st.binary(min_size=30, max_size=34).map(lambda data: msgpack.packb(msgpack.ExtType(1, data))),
        st.binary(max_size=4).map(lambda data: msgpack.packb(msgpack.ExtType(2, data))),
        st.text(max_size=4).map(msgpack.packb),
        st.integers(-(2**63), 2**64 - 1).map(msgpack.packb),
        st.sampled_from(
            [b"\xc0", b"\xc1", b"\x90", b"\x80", b"\xd4\xff\0", b"\xd6\xff\0\0\0\0", b"\xc4", b"\x91" * 600]
        ),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=300)
@given(BODIES, st.integers(-1, 1))
def test_both_say_the_same_of_any_body(items, off):
    """Checksum, sizes and positions are right; what is inside may be anything."""
    body, count = b"".join(items), max(1, len(items) + off)
    frame = pack("<4sIIIII16sQq32sQ", b"MGF1", 0, len(body), 0, count, 1, MEMORY_ID, 1, 1, NO_CHAIN, 0) + body
    frame = frame[:4] + pack("<I", crc32c(frame[8:])) + frame[8:]
    data = heading(MEMORY_ID) + frame
    assert tool(data) == library(data)
    try:
        log = verify_log.Log(MEMORY_ID, verify_log.nothing)
        log.take(frame, 0)
    except verify_log.Damaged:
        return
    whole = data + end_mark(log.position, log.chain)
    assert tool(whole) == library(whole) == (count, log.chain, 1, False)


def check_agreement():
    assert tool(EXPORT) == library(EXPORT)
    check_every_byte(tool)
    data = bytearray(EXPORT)
    data[EXPORT.index(b"\xc7\x20\x01") + 2] = 2  # an extension of another type where a hash should be
    assert tool(with_right_sums(data)) == library(with_right_sums(data))


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("crc32c", lambda _: unpack_from("<I", EXPORT, FRAMES_AT[0] + 4)[0]),
        ("END_MAGIC", EXPORT[-48:-40] + b"x"),
        ("_is_hash", lambda _: True),
    ],
)
def test_a_verifier_that_leaves_out_a_check_is_found(monkeypatch, name, broken):
    monkeypatch.setattr(verify_log, name, broken)
    with pytest.raises(AssertionError):
        check_agreement()


def test_the_checksum_is_the_librarys():
    for size in (0, 1, 2, 9, 1000):
        data = bytes(number * 7 % 256 for number in range(size))
        assert verify_log.crc32c(data) == crc32c(data)


# -- as a program, with nothing of ours ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Run the program where only the standard library and msgpack can be imported."""
    packages = tmp_path_factory.mktemp("packages")
    shutil.copytree(Path(msgpack.__file__).parent, packages / "msgpack")

    def run(*words):
        code = (
            f"import sys; sys.path.append({str(packages)!r}); sys.argv = {['verify_log.py', *map(str, words)]!r}\n"
            "for name in ('memorygraph', 'msgspec', 'crc32c', 'numpy'):\n"
            "    try:\n        __import__(name)\n    except ImportError:\n        continue\n"
            "    sys.exit(f'{name} is there')\n"
            f"import runpy; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
        )
        return subprocess.run(
            [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, timeout=60, check=False
        )

    return run


@pytest.fixture
def store(tmp_path):
    with AgentMemory(tmp_path / "store", principal="ann") as memory:
        memory.remember("the canoe leaks", node_id="canoe")
        memory.remember("the hall is locked", node_id="hall", metadata={"n": [1, None]})
        memory.forget(ids=["canoe"])
        memory.export(tmp_path / "export")
        memory.export(tmp_path / "excerpt", only={"id": "hall"})
        chain, position = memory.head().chain.hex(), memory.position
    return tmp_path, position, chain


@pytest.mark.parametrize(
    ("name", "kind", "hashes"), [("store", "a store", 0), ("export", "an export", 0), ("excerpt", "an excerpt", 3)]
)
def test_it_tells_the_head_of_a_good_log(alone, store, name, kind, hashes):
    folder, position, chain = store
    done = alone(folder / name)
    assert (done.returncode, done.stderr) == (0, "")
    first, second, third, fourth = done.stdout.splitlines()
    assert first.startswith(f"whole: {kind} of memory ")
    assert second.startswith(f"{position} records in ")
    assert f"of {hashes} only the hash is kept" in second
    assert third == f"head at position {position}, epoch 1, chain"
    assert fourth == chain


def test_it_prints_the_records(alone, store):
    folder, position, _ = store
    done = alone("--records", folder / "excerpt")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["position"] for record in records] == list(range(1, position + 1))
    shown = [record for record in records if "events" in record]
    assert len(shown) == position - 3
    assert shown[0]["principal"] == "ann"
    assert "the hall is locked" in json.dumps(shown)
    assert "canoe leaks" not in done.stdout
    assert "whole: an excerpt" in done.stderr


def test_it_says_what_is_wrong(alone, store):
    folder, _, _ = store
    data = (folder / "export").read_bytes()
    (folder / "cut").write_bytes(data[:-48])
    (folder / "nothing").write_bytes(b"nothing")
    segment = next((folder / "store" / "log").glob("*.seg"))
    damaged = bytearray(segment.read_bytes())
    damaged[200] ^= 1
    segment.write_bytes(damaged)
    for name, code, words in (
        ("cut", 1, "the file ends without its end mark; it was cut after position"),
        ("nothing", 2, "this is not a file that memorygraph export wrote"),
        ("missing", 2, "No such file"),
        ("store", 1, "damage after position 0; frames follow at byte"),
    ):
        done = alone(folder / name)
        assert (done.returncode, done.stdout) == (code, ""), name
        assert words in done.stderr
    shutil.rmtree(folder / "store" / "log")
    assert alone(folder / "store").returncode == 2


def test_it_reads_a_golden_store_of_two_segments(alone):
    done = alone(STORE)
    with_library = SegmentLog.open(STORE, read_only=True).verify()
    assert done.stdout.splitlines()[-1] == with_library.head.chain.hex()
    assert done.returncode == 0


def test_it_sees_a_segment_that_is_missing_or_damaged(alone, tmp_path):
    shutil.copytree(STORE, tmp_path / "store")
    first, second, *_ = sorted((tmp_path / "store" / "log").glob("*.seg"))
    data = first.read_bytes()
    second_data = second.read_bytes()
    first.unlink()
    assert alone(tmp_path / "store").returncode == 1
    first.write_bytes(data)
    second.write_bytes(second_data[:100] + b"x" + second_data[101:])
    assert "fails its checksum" in alone(tmp_path / "store").stderr


def test_a_torn_write_is_told_and_is_no_damage(alone, store):
    folder, position, _ = store
    segment = next((folder / "store" / "log").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    end = len(bytes(data).rstrip(b"\0"))
    data[end + 1 : end + 9] = b"MGF1torn"
    segment.write_bytes(data)
    done = alone(folder / "store")
    assert done.returncode == 0
    assert "a write that was never acknowledged" in done.stdout
    assert f"head at position {position}" in done.stdout
