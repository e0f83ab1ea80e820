"""Exports end with a mark, and excerpts prove what they show and show nothing else."""

from datetime import timedelta

import pytest

from memorygraph import AgentMemory, RetentionPolicy, exports
from memorygraph.audit import audit_of, wanted
from memorygraph.core.types import DamagedLog, ImportFormatError, InputError
from memorygraph.events import exports as format_
from memorygraph.events.errors import StoreNotFound
from memorygraph.events.exports import END_MAGIC, read_export
from memorygraph.events.frames import encode_frame, frame_header
from memorygraph.events.stores import SegmentLog
from memorygraph.proofs import report_on
from tests.events.faulty_disk import NoSyncDisk
from tests.memory.helpers import SteppedClock, clocked


@pytest.fixture
def used(tmp_path):
    with AgentMemory(tmp_path / "store", principal="ann", auto_associate=False) as memory:
        memory.remember("the canoe leaks", node_id="canoe")
        memory.acting_as("ben").remember("the hall is locked", node_id="hall", session="monday")
        memory.remember_many([{"content": f"note {number}", "node_id": f"n{number}"} for number in range(3)])
        memory.revise("hall", content="the hall is open")
        memory.forget(ids=["canoe"])
        yield memory


def kept(path):
    """The positions of the records that a file shows."""
    return [entry.position for entry in exports.read_file(path).entries() if entry.data is not None]


# -- the end mark ----------------------------------------------------------------------------------------------------


def cuts(data):
    """The file cut after each frame, the last one included."""
    at = format_.HEADING_BYTES
    while data[at : at + 8] != END_MAGIC:
        yield data[:at]
        at += frame_header(data[at:]).size_bytes
    yield data[:at]


def check_cuts_are_seen(memory, path):
    memory.export(path)
    whole = path.read_bytes()
    for number, data in enumerate(cuts(whole)):
        path.write_bytes(data)
        with pytest.raises(DamagedLog, match="it ends without an end mark; it was cut") as caught:
            AgentMemory.import_(path, path.with_name(f"copy{number}"))
        assert caught.value.about == {"offset": len(data)}
        assert not path.with_name(f"copy{number}").exists()
    path.write_bytes(whole)
    assert exports.read_file(path).head == memory.head()


def test_a_file_that_was_cut_between_frames_is_seen(used, tmp_path):
    check_cuts_are_seen(used, tmp_path / "file")


def test_without_an_end_mark_a_cut_is_missed(used, tmp_path, monkeypatch):
    """The mutant: the end of the file is the end of the log, as it was once."""
    plain = format_.read_export

    def careless(data, where):
        if END_MAGIC not in data:
            heads = [frame_header(data[at:]) for at in [format_.HEADING_BYTES] if len(data) > at]
            marks = [] if not heads else [data]
            return plain(data + format_.end_mark(*_end_of(data)), where) if marks else plain(data, where)
        return plain(data, where)

    monkeypatch.setattr(exports, "read_export", careless)
    with pytest.raises(pytest.fail.Exception):
        check_cuts_are_seen(used, tmp_path / "file")


def _end_of(data):
    position, chain, at = 0, bytes(32), format_.HEADING_BYTES
    while at < len(data):
        header = frame_header(data[at:])
        chain = format_.chain_after(data[at : at + header.size_bytes], header)
        position, at = header.last, at + header.size_bytes
    return position, chain


def test_what_follows_the_end_mark_is_damage(used, tmp_path):
    used.export(tmp_path / "file")
    data = (tmp_path / "file").read_bytes()
    for more in (b"\0", data, END_MAGIC):
        with pytest.raises(DamagedLog, match="end mark is not that of this log"):
            read_export(data + more, "file")


def test_a_memory_without_records_has_an_end_mark_too():
    data = format_.heading(bytes(16)) + format_.end_mark(0, bytes(32))
    assert read_export(data, "file").head.position == 0


# -- beside a compaction ---------------------------------------------------------------------------------------------


def check_beside_a_compaction(path, monkeypatch):
    """Records that are replaced while they are exported come with what was said of them before."""
    memory = clocked(SteppedClock(), SegmentLog.open(path / "store", segment_bytes=4096, disk=NoSyncDisk()))
    memory.remember("the canoe leaks " + "x" * 1500, node_id="canoe")
    for _ in range(30):
        memory.recall("canoe", reinforce=True)
        memory.flush()
    frames, reports = memory._engine.frames, []

    def beside(first=1):
        """Gives the first frame as it was, and the others as they are after a compaction."""
        found = iter(frames(first))
        yield next(found)
        if not reports:
            reports.append(memory.compact(RetentionPolicy(keep_accesses=timedelta(0))))
        yield from found

    monkeypatch.setattr(memory._engine, "frames", beside)
    position = memory.export(path / "file")
    assert reports[0].replaced
    exports.import_log(path / "file", path / "copy")
    with AgentMemory(path / "copy") as copy:
        assert copy.position == position == memory.position
        assert copy.digest() == memory.digest()
        assert copy.get("canoe").access_count == 30


def test_recalls_are_not_lost_in_an_export_beside_a_compaction(tmp_path, monkeypatch):
    check_beside_a_compaction(tmp_path, monkeypatch)


def test_without_a_look_for_compactions_recalls_are_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(exports, "compacted_after", lambda *_: False)
    with pytest.raises(ImportFormatError, match="tells of no compaction"):
        check_beside_a_compaction(tmp_path, monkeypatch)


# -- excerpts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("only", "found"),
    [
        ({"who": "ben"}, [3]),
        ({"id": "hall"}, [3, 5]),
        ({"id": ["canoe", "n1"]}, [2, 4, 6]),
        ({"first": 3, "last": 4}, [3, 4]),
        ({"action": "forgot"}, [6]),
        ({"session": "monday"}, [3, 5]),
        ({"since": "2000-01-01"}, [1, 2, 3, 4, 5, 6]),
        ({"until": "2000-01-01"}, []),
        ({"who": "nobody"}, []),
    ],
)
def test_an_excerpt_shows_what_was_asked_for(used, tmp_path, only, found):
    assert used.export(tmp_path / "file", only=only) == used.position
    assert kept(tmp_path / "file") == found
    exported = exports.read_file(tmp_path / "file")
    assert exported.is_excerpt
    assert exported.head == used.head()
    told = [entry.position for entry in audit_of(exported.entries(), wanted()) if entry.action != "replaced"]
    assert list(dict.fromkeys(told)) == found


def test_an_excerpt_shows_nothing_else(used, tmp_path):
    used.export(tmp_path / "file", only={"id": "hall"})
    data = (tmp_path / "file").read_bytes()
    assert b"the hall is open" in data
    assert not any(secret in data for secret in (b"canoe", b"note 1"))


def check_content_is_proved(memory, path):
    """A record in the file cannot be changed, and a hash cannot stand for another record."""
    memory.export(path, only={"id": "hall"})
    data = path.read_bytes()
    at = 24
    while (header := frame_header(data[at:])).first != 3:
        at += header.size_bytes
    frame = data[at : at + header.size_bytes]
    changed = frame.replace(b"the hall is locked", b"the hall is l0cked")
    assert changed != frame
    crc = format_.whole_frame.__globals__["crc32c"](changed[8:])
    forged = data.replace(frame, changed[:4] + crc.to_bytes(4, "little") + changed[8:])
    with pytest.raises(DamagedLog, match="does not continue the chain"):
        read_export(forged, "file")


def test_what_an_excerpt_shows_is_proved(used, tmp_path):
    check_content_is_proved(used, tmp_path / "file")


def test_a_chain_that_is_not_followed_is_missed(used, tmp_path, monkeypatch):
    monkeypatch.setattr(format_, "require_next", lambda *_: None)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check_content_is_proved(used, tmp_path / "file")


def check_a_hash_is_of_its_record(memory, path):
    """What is put where only a hash was is not taken for the record."""
    memory.export(path, only={"id": "hall"})
    data = path.read_bytes()
    at = 24
    while (header := frame_header(data[at:])).first != 2:
        at += header.size_bytes
    options = {"memory_id": header.memory_id, "first": 2, "time_us": header.time_us, "epoch": header.epoch}
    made_up, _ = encode_frame([b"the canoe is dry"], **options, chain=header.chain_before)
    with pytest.raises(DamagedLog, match="does not continue the chain"):
        read_export(data[:at] + made_up + data[at + header.size_bytes :], "file")


def test_other_content_in_the_place_of_a_hash_is_refused(used, tmp_path):
    check_a_hash_is_of_its_record(used, tmp_path / "file")


def test_without_the_chain_other_content_is_taken_for_it(used, tmp_path, monkeypatch):
    monkeypatch.setattr(format_, "require_next", lambda *_: None)
    with pytest.raises(pytest.fail.Exception):
        check_a_hash_is_of_its_record(used, tmp_path / "file")


def test_no_memory_is_made_of_an_excerpt(used, tmp_path):
    used.export(tmp_path / "file", only={"id": "hall"})
    with pytest.raises(ImportFormatError, match=r"is an excerpt: .* so no memory can be made of it"):
        AgentMemory.import_(tmp_path / "file", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("to", ["copy", "copy.json", "new/folder/copy"])
@pytest.mark.parametrize("is_there", [False, True])
def test_an_import_that_is_broken_off_leaves_no_memory(used, tmp_path, monkeypatch, to, is_there):
    file, target = tmp_path / "file", tmp_path / to
    used.export(file)
    if is_there and to == "copy":
        target.mkdir()
    adopt = SegmentLog.adopt

    def killed(log, frame):
        if log.head.position >= 3:
            raise KeyboardInterrupt
        return adopt(log, frame)

    with monkeypatch.context() as patch:
        patch.setattr(SegmentLog, "adopt", killed)
        with pytest.raises(KeyboardInterrupt):
            exports.import_log(file, target)
    with pytest.raises(StoreNotFound):
        AgentMemory(target, read_only=True)
    exports.import_log(file, target)
    with AgentMemory(target) as memory:
        assert memory.digest() == used.digest()


def test_an_excerpt_that_pretends_to_be_an_export_is_known(used, tmp_path):
    used.export(tmp_path / "file", only={"last": 2})
    data = (tmp_path / "file").read_bytes()
    (tmp_path / "file").write_bytes(format_.EXPORT_MAGIC + data[len(format_.EXPORT_MAGIC) :])
    assert report_on(exports.read_file(tmp_path / "file")).untold
    with pytest.raises(ImportFormatError, match="of 4 records it holds only the hash") as caught:
        exports.import_log(tmp_path / "file", tmp_path / "copy")
    assert caught.value.about["untold"] == 4
    assert not (tmp_path / "copy").exists()


def test_records_that_are_only_hashes_in_the_log_stay_so(used, tmp_path):
    used._engine._log.replace_by_hash([4])
    used.export(tmp_path / "whole")
    assert kept(tmp_path / "whole") == [1, 2, 3, 5, 6]
    used.export(tmp_path / "file", only={"first": 3, "last": 5})
    assert kept(tmp_path / "file") == [3, 5]
    assert exports.read_file(tmp_path / "file").head == used.head()


def test_a_filter_that_cannot_be_used_writes_nothing(used, tmp_path):
    for only in ({"action": "stole"}, {"last": -1}, {"since": "whenever"}):
        with pytest.raises(InputError):
            used.export(tmp_path / "file", only=only)
    with pytest.raises(InputError, match="'colour' is not a filter"):
        used.export(tmp_path / "file", only={"colour": "red"})
    assert not (tmp_path / "file").exists()
