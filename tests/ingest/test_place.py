import errno
import os

import pytest

from memorygraph import AgentMemory
from memorygraph.events.errors import ImportFormatError, InputError
from memorygraph.ingest import harvest_path, ingest
from memorygraph.ingest.files import FILE_BYTES_MAX


def read(folder):
    harvest = harvest_path(folder)
    return [item.source for item in harvest.items], harvest.notes[1:], harvest.skipped


def test_a_missing_path_is_a_named_error(tmp_path):
    with pytest.raises(InputError, match="does not exist; give a folder, a git repository or a file"):
        harvest_path(tmp_path / "nothing")


def test_an_unknown_kind_of_file_is_a_named_error(tmp_path):
    (tmp_path / "x.pdf").write_bytes(b"%PDF")
    with pytest.raises(ImportFormatError, match=r"x\.pdf: files of this kind cannot be ingested; known are \.jsonl"):
        harvest_path(tmp_path / "x.pdf")


def test_single_files_are_read_by_their_kind(tmp_path):
    for name, content in {"a.MD": "# A\n", "b.txt": "b", "c.rst": "c", "d.py": '"""D."""\n'}.items():
        (tmp_path / name).write_text(content)
    found = [
        [item.source for item in harvest_path(tmp_path / name).items] for name in ("a.MD", "b.txt", "c.rst", "d.py")
    ]
    assert found == [["a.MD", "a.MD#a"], ["b.txt"], ["c.rst"], ["d.py"]]


def test_files_that_cannot_be_read_are_noted_and_skipped(tmp_path):
    (tmp_path / "binary.md").write_bytes(b"# A\0")
    (tmp_path / "broken.py").write_text("def f(:\n")
    (tmp_path / "good.md").write_text("fine")
    (tmp_path / "huge.txt").write_text("x" * (FILE_BYTES_MAX + 1))
    (tmp_path / "latin.txt").write_bytes(b"Gr\xf6\xdfe")
    (tmp_path / "image.png").write_bytes(b"\x89PNG\0")
    sources, notes, skipped = read(tmp_path)
    assert sources == ["good.md"]
    assert skipped == ("binary.md", "broken.py", "huge.txt", "latin.txt")
    assert notes == (
        "binary.md: not a text file (it holds NUL bytes)",
        "broken.py: not valid Python (line 1), skipped",
        "huge.txt: 4194305 bytes, more than the 4194304 that are read of one file",
        "latin.txt: not UTF-8 text (byte 2); convert it to UTF-8",
    )


def test_names_that_no_memory_takes_are_noted_and_skipped(tmp_path):
    for name in ("line\nfeed.md", f"{'n' * 200}/{'n' * 100}.md", os.fsdecode(b"\xff.md")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("# A\n")
    sources, notes, skipped = read(tmp_path)
    assert sources == []
    assert len(skipped) == 3
    assert notes[0] == "'line\\nfeed.md': a name must be of at most 300 printable characters; rename the file"
    assert all(note.isprintable() for note in notes)


def refuse(folder, monkeypatch):
    """Let no listing of a folder succeed, as its permissions would for anyone but root."""
    scandir = os.scandir

    def listing(path):
        if os.fspath(path) == str(folder):
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", listing)


def test_a_folder_that_cannot_be_read_is_a_named_error(tmp_path, monkeypatch):
    (tmp_path / "a.md").write_text("fine")
    refuse(tmp_path, monkeypatch)
    with pytest.raises(ImportFormatError, match=r"cannot be read \(Permission denied\)"):
        harvest_path(tmp_path)


def test_what_is_in_an_unreadable_folder_is_not_forgotten(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.md").write_text("fine")
    with AgentMemory() as memory:
        assert ingest(memory, tmp_path).added == 1
        refuse(tmp_path / "sub", monkeypatch)
        report = ingest(memory, tmp_path)
        assert (report.forgotten, len(memory)) == (0, 1)
        assert report.notes[1:] == ("'sub': the folder cannot be read (Permission denied)",)


def test_many_remarks_are_shortened_but_every_skipped_file_is_known(tmp_path):
    for number in range(30):
        (tmp_path / f"{number}.txt").write_bytes(b"\0")
    _, notes, skipped = read(tmp_path)
    assert notes[-1] == "and 11 more remarks"
    assert len(skipped) == 30


@pytest.fixture
def linked(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("# Secret\n")
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "real.md").write_text("real")
    (folder / "file.md").symlink_to(outside / "secret.md")
    (folder / "dir").symlink_to(outside)
    (folder / "twin.md").symlink_to("sub/real.md")
    (folder / "loop").symlink_to(".")
    (folder / "dangling.md").symlink_to("nowhere.md")
    os.mkfifo(folder / "pipe.md")
    return folder


def test_links_are_not_followed(linked):
    assert read(linked) == (["sub/real.md"], (), ())


def test_links_that_git_tracks_are_not_followed_either(linked, repo):
    (linked / "pipe.md").unlink()
    linked.rename(repo.folder / "tracked")
    repo.commit("Links")
    (repo.folder / "tracked" / "sub" / "real.md").unlink()
    (repo.folder / "tracked" / "sub").rmdir()
    (repo.folder / "tracked" / "sub").symlink_to("../../outside")
    (repo.folder.parent / "outside" / "real.md").write_text("behind a link")
    assert [item.source for item in harvest_path(repo.folder).items if item.source.endswith(".md")] == []


def test_the_check_for_links_is_what_keeps_them_out(linked, monkeypatch):
    (linked / "pipe.md").unlink()
    monkeypatch.setattr(os.path, "realpath", lambda path, **_: os.path.normpath(path))
    sources, _, _ = read(linked)
    assert {"file.md", "twin.md"} <= set(sources)


def test_a_file_given_through_a_link_is_read(linked):
    assert [item.source for item in harvest_path(linked / "file.md").items] == ["secret.md", "secret.md#secret"]
