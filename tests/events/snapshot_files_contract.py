"""What every place for snapshot files promises; each implementation inherits these tests."""

from __future__ import annotations

import pytest

from memorygraph.events.errors import StoreError


class SnapshotFilesContract:
    @pytest.fixture
    def files(self, tmp_path):
        raise NotImplementedError

    @staticmethod
    def put(files, position, *parts):
        with files.lock() as has_it:
            assert has_it
            draft = files.draft(position)
            for part in parts:
                draft.write(part)
            draft.finish()

    def test_a_file_is_what_was_written(self, files):
        assert files.positions() == []
        self.put(files, 30, b"abc", b"", b"defg")
        self.put(files, 4, b"xyz")
        assert files.positions() == [4, 30]
        file = files.open(30)
        assert file.size_bytes == 7
        assert [file.read(3, 2), file.read(99, 5), file.read(5, 7)] == [b"cde", b"fg", b""]
        self.put(files, 30, b"other")
        assert files.open(30).read(9, 0) == b"other"
        assert file.read(7, 0) == b"abcdefg", "who has it open keeps what was there"

    def test_a_draft_is_not_seen_before_it_is_finished(self, files):
        with files.lock():
            draft = files.draft(5)
            draft.write(b"abc")
            assert files.positions() == []
            draft.discard()
            draft.discard()
        assert files.positions() == []
        with pytest.raises(StoreError):
            files.open(5)

    def test_removal(self, files):
        self.put(files, 7, b"abc")
        file = files.open(7)
        with files.lock():
            files.remove(7)
            files.remove(7)
        assert files.positions() == []
        assert file.read(3, 0) == b"abc"
        with pytest.raises(StoreError):
            files.open(7)

    def test_one_writer_at_a_time(self, files):
        with files.lock() as first, files.lock() as second:
            assert (first, second) == (True, False)
        with files.lock() as third:
            assert third
