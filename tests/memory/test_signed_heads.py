"""Signed heads: a log that was rolled back or rewritten is told from the one that was signed."""

import json
import shutil
import subprocess
import sys

import msgspec
import pytest

from memorygraph import AgentMemory
from memorygraph.actors import signing
from memorygraph.core.types import ImportFormatError, InputError, StoreReadOnly
from memorygraph.events import heads as heads_module
from memorygraph.events.disk import OsDisk
from memorygraph.events.errors import StoreError
from memorygraph.events.heads import HeadFault, SignedHead, append_head, encode_head, read_heads, sign_head
from memorygraph.events.keys import SigningKey, is_signed_by, key_id, load_public_key
from memorygraph.events.log import Head
from memorygraph.events.stores import SegmentLog


@pytest.fixture(scope="module")
def key():
    return SigningKey.generate()


@pytest.fixture(scope="module")
def other_key():
    return SigningKey.generate()


def signed_store(path, key, notes=6, every=2):
    with AgentMemory(path, signing_key=key, sign_every=every, auto_associate=False) as memory:
        for number in range(notes):
            memory.remember(f"note {number}")
        return memory.memory_id


def positions(path):
    return [head.position for head in read_heads(path)]


def faults(path, heads, key=None):
    """What holding heads against a store finds."""
    with AgentMemory(path, read_only=True) as memory:
        report = memory.verify_heads(heads, key)
    assert report.good == (not report.findings)
    return [(one.position, one.fault) for one in report.findings]


# -- making them -----------------------------------------------------------------------------------------------------


def test_a_head_is_signed_every_so_many_commits_and_on_close(tmp_path, key):
    memory_id = signed_store(tmp_path / "store", key, notes=5, every=2)
    listed = read_heads(tmp_path / "store" / "heads.jsonl")
    assert [head.position for head in listed] == [3, 5, 6]
    assert {head.memory_id for head in listed} == {memory_id}
    assert {head.public_key for head in listed} == {key.public_key.hex()}
    with AgentMemory(tmp_path / "store") as memory:
        assert memory.heads() == listed
        assert memory.head().chain.hex() == listed[-1].chain
    assert positions(tmp_path / "store" / "heads.jsonl") == [3, 5, 6]  # nothing was written, nothing is signed


def test_it_can_be_signed_now(tmp_path, key):
    with AgentMemory(tmp_path / "store", signing_key=key) as memory:
        memory.remember("one")
        head = memory.sign_head()
        assert (head.position, head.chain) == (memory.position, memory.head().chain.hex())
        assert memory.heads() == [head]
        with pytest.raises(StoreReadOnly):
            memory.at(1).sign_head()
    assert positions(tmp_path / "store" / "heads.jsonl") == [2]  # close has nothing left to sign


def test_a_json_store_is_signed_too(tmp_path, key):
    signed_store(tmp_path / "memory.json", key)
    assert positions(tmp_path / "memory.json.log" / "heads.jsonl")[-1] == 7


def test_several_writers_sign_heads_that_are_all_true(tmp_path, key):
    options = {"signing_key": key, "sign_every": 1}
    with AgentMemory(tmp_path / "store", **options) as one, AgentMemory(tmp_path / "store", **options) as two:
        for number in range(4):
            (one, two)[number % 2].remember(f"note {number}")
    assert faults(tmp_path / "store", tmp_path / "store" / "heads.jsonl", key.public_key.hex()) == []


def test_without_a_key_nothing_can_be_signed(tmp_path, key):
    with AgentMemory(tmp_path / "store") as memory, pytest.raises(InputError, match="no key to sign with"):
        memory.sign_head()
    assert AgentMemory().heads() == []
    with pytest.raises(InputError, match="needs the path of a store"):
        AgentMemory(signing_key=key)
    with pytest.raises(InputError, match="open for writing"):
        AgentMemory(tmp_path / "store", read_only=True, signing_key=key)
    with pytest.raises(InputError, match="sign_every"):
        AgentMemory(tmp_path / "store", signing_key=key, sign_every=0)


def test_a_head_that_cannot_be_written_takes_no_commit_back(tmp_path, key):
    (tmp_path / "store").mkdir()
    with AgentMemory(tmp_path / "store", signing_key=key, sign_every=1) as memory:
        (tmp_path / "store" / "heads.jsonl").mkdir()
        memory.remember("one", node_id="one")
        assert "one" in memory
        assert "the head at position 2 is not signed" in memory.notes[-1]
        (tmp_path / "store" / "heads.jsonl").rmdir()
        memory.remember("two")
        assert memory.notes == ()
    assert positions(tmp_path / "store" / "heads.jsonl") == [3]


def test_a_signer_from_elsewhere_that_fails_takes_no_commit_back(tmp_path, key):
    class Module:
        public_key = key.public_key
        is_there = False

        def sign(self, message):
            if not self.is_there:
                raise ConnectionError("the module does not answer")
            return key.sign(message)

    module = Module()
    with AgentMemory(tmp_path / "store", signing_key=module, sign_every=1) as memory:
        memory.remember("one", node_id="one")
        assert "one" in memory
        assert "does not answer" in memory.notes[-1]
        module.is_there = True
    assert faults(tmp_path / "store", tmp_path / "store" / "heads.jsonl", key.public_key.hex()) == []


def test_a_store_is_still_ours_with_heads_in_it(tmp_path, key):
    signed_store(tmp_path / "store", key)
    (tmp_path / "store" / "MEMORY").unlink()
    with AgentMemory(tmp_path / "store") as memory:
        assert len(memory) == 6


# -- holding them against a log --------------------------------------------------------------------------------------


@pytest.fixture
def kept(tmp_path, key):
    """A store and a copy of its heads that the store's writer cannot reach."""
    signed_store(tmp_path / "store", key)
    shutil.copy(tmp_path / "store" / "heads.jsonl", tmp_path / "kept.jsonl")
    return tmp_path / "store", tmp_path / "kept.jsonl"


def rewritten(path, memory_id, notes):
    """A store of the same memory that tells another history."""
    SegmentLog.open(path, memory_id=bytes.fromhex(memory_id)).close()
    with AgentMemory(path, auto_associate=False) as memory:
        for number in range(notes):
            memory.remember(f"not what was said {number}")


def test_the_log_that_was_signed_agrees(kept, key):
    store, heads = kept
    assert faults(store, heads, key.public_key.hex()) == []
    with AgentMemory(store, auto_associate=False) as memory:
        memory.remember("it went on")
        report = memory.verify_heads(heads)
    assert (report.heads, report.agreeing, report.position, report.unchecked) == (3, 3, 7, 0)
    assert report.keys == (key_id(key.public_key),)


def check_rolled_back(tmp_path, key):
    signed_store(tmp_path / "a", key, notes=2)
    shutil.copytree(tmp_path / "a", tmp_path / "earlier")
    signed_store(tmp_path / "a", key, notes=4)
    assert faults(tmp_path / "earlier", tmp_path / "a" / "heads.jsonl", key.public_key.hex()) == [
        (5, HeadFault.ROLLED_BACK),
        (7, HeadFault.ROLLED_BACK),
    ]


def check_rewritten(tmp_path, key):
    memory_id = signed_store(tmp_path / "b", key)
    rewritten(tmp_path / "other", memory_id, notes=9)
    found = faults(tmp_path / "other", tmp_path / "b" / "heads.jsonl", key.public_key.hex())
    assert found == [(position, HeadFault.REWRITTEN) for position in (3, 5, 7)]


def check_forged(tmp_path, key):
    memory_id = signed_store(tmp_path / "c", key)
    rewritten(tmp_path / "mine", memory_id, notes=3)
    with AgentMemory(tmp_path / "mine", read_only=True) as memory:
        now = memory.head()
    true = read_heads(tmp_path / "c" / "heads.jsonl")[0]
    forged = msgspec.structs.replace(true, position=now.position, chain=now.chain.hex())
    (tmp_path / "forged.jsonl").write_bytes(encode_head(forged))
    assert faults(tmp_path / "mine", tmp_path / "forged.jsonl") == [(now.position, HeadFault.FORGED)]


def check_other_key(tmp_path, key):
    signed_store(tmp_path / "d", SigningKey.generate())
    heads = tmp_path / "d" / "heads.jsonl"
    assert faults(tmp_path / "d", heads) == []  # without a key to trust, anybody's will do
    assert {fault for _, fault in faults(tmp_path / "d", heads, key.public_key.hex())} == {HeadFault.FORGED}


def check_other_memory(tmp_path, key):
    signed_store(tmp_path / "e", key)
    signed_store(tmp_path / "f", key)
    found = faults(tmp_path / "e", tmp_path / "f" / "heads.jsonl", key.public_key.hex())
    assert {fault for _, fault in found} == {HeadFault.OTHER_MEMORY}


CHECKS = [check_rolled_back, check_rewritten, check_forged, check_other_key, check_other_memory]


@pytest.mark.parametrize("check", CHECKS)
def test_what_is_wrong_is_told(tmp_path, key, check):
    check(tmp_path, key)


def _anything_is_signed(monkeypatch):
    monkeypatch.setattr(heads_module, "is_signed_by", lambda *_: True)


def _any_key_will_do(monkeypatch):
    forgery = heads_module._forgery
    monkeypatch.setattr(heads_module, "_forgery", lambda head, _: forgery(head, None))


def _positions_are_not_compared(monkeypatch):
    plain = heads_module.check_heads

    def careless(heads, **options):
        end = options["end"]
        reachable = [head for head in heads if head.position <= end.position]
        return plain(reachable, **options)

    monkeypatch.setattr("memorygraph.proofs.check_heads", careless)


def _chains_are_not_compared(monkeypatch):
    plain = heads_module.check_heads

    def careless(heads, **options):
        said = {head.position: bytes.fromhex(head.chain) for head in heads}
        return plain(heads, **{**options, "chains": said})

    monkeypatch.setattr("memorygraph.proofs.check_heads", careless)


def _memories_are_not_compared(monkeypatch):
    plain = heads_module.check_heads

    def careless(heads, **options):
        of = bytes.fromhex(heads[0].memory_id)
        said = {head.position: bytes.fromhex(head.chain) for head in heads}
        return plain(heads, **{**options, "memory_id": of, "chains": said})

    monkeypatch.setattr("memorygraph.proofs.check_heads", careless)


@pytest.mark.parametrize(
    ("mutant", "check"),
    [
        (_anything_is_signed, check_forged),
        (_any_key_will_do, check_other_key),
        (_positions_are_not_compared, check_rolled_back),
        (_chains_are_not_compared, check_rewritten),
        (_memories_are_not_compared, check_other_memory),
    ],
)
def test_a_check_that_is_left_out_is_missed(tmp_path, key, monkeypatch, mutant, check):
    mutant(monkeypatch)
    with pytest.raises(AssertionError):
        check(tmp_path, key)


def test_every_changed_field_of_a_head_is_a_forgery(kept, key):
    store, heads = kept
    true = read_heads(heads)[0]
    changes = {
        "memory_id": "00" * 16,
        "position": 4,
        "chain": "00" * 32,
        "epoch": 7,
        "time_us": 1,
        "public_key": SigningKey.generate().public_key.hex(),
        "signature": "00" * 64,
    }
    assert set(changes) == set(SignedHead.__struct_fields__)
    for name, value in changes.items():
        heads.write_bytes(encode_head(msgspec.structs.replace(true, **{name: value})))
        assert [fault for _, fault in faults(store, heads, key.public_key.hex())] == [HeadFault.FORGED], name


def test_a_signature_for_something_else_is_none_of_a_head(key):
    head = sign_head(key, bytes(16), Head(1, bytes(32)), 1)
    assert not is_signed_by(key.public_key, bytes.fromhex(head.signature), head.message()[len(heads_module.DOMAIN) :])
    assert is_signed_by(key.public_key, bytes.fromhex(head.signature), head.message())


def test_a_damaged_log_says_what_it_cannot_check(kept):
    store, heads = kept
    segment = next((store / "log").glob("*.seg"))
    data = bytearray(segment.read_bytes())
    data[data.rfind(b"note 3")] ^= 1
    segment.write_bytes(data)
    with AgentMemory(store, read_only=True) as memory:
        report = memory.verify_heads(heads)
    assert (report.agreeing, report.unchecked, report.findings) == (1, 2, ())
    assert not report.good


def test_replacing_records_by_hashes_leaves_every_head_true(kept, key):
    store, heads = kept
    with AgentMemory(store) as memory:
        memory._engine._log.replace_by_hash([4, 5])
        assert memory.verify_heads(heads, key.public_key.hex()).good


# -- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "{}",
        "[]",
        '{"memory_id": 5}',
        "[" * 10_000,
        json.dumps({"memory_id": "zz" * 16, "position": 1, "chain": "", "epoch": 1, "time_us": 1}),
    ],
)
def test_a_file_of_something_else_is_refused(kept, line):
    store, heads = kept
    heads.write_text(heads.read_text() + line + "\n")
    with pytest.raises(ImportFormatError, match=r"line 4 of .* is not a signed head"):
        faults(store, heads)


@pytest.mark.parametrize(
    "change",
    [{"position": -1}, {"position": 2**64}, {"epoch": 2**32}, {"chain": "00"}, {"chain": "xx"}, {"signature": "0"}],
)
def test_a_head_whose_fields_do_not_fit_is_refused(kept, change):
    store, heads = kept
    head = msgspec.structs.replace(read_heads(heads)[0], **change)
    heads.write_bytes(msgspec.json.encode(msgspec.structs.asdict(head)) + b"\n")
    with pytest.raises(ImportFormatError):
        faults(store, heads)


def test_a_file_that_is_missing_or_empty_proves_nothing(kept):
    store, heads = kept
    heads.write_text("")
    with pytest.raises(ImportFormatError, match="holds no signed heads, so it proves nothing"):
        faults(store, heads)
    with pytest.raises(ImportFormatError, match="cannot be read"):
        faults(store, heads.parent / "missing")


def test_a_line_that_was_cut_while_written_is_left_out_and_cleared_away(tmp_path, key):
    file = tmp_path / "heads.jsonl"
    first, second = (sign_head(key, bytes(16), Head(at, bytes(32)), at) for at in (1, 2))
    append_head(file, first)
    for size in (1, 100, len(encode_head(second)) - 2):
        file.write_bytes(encode_head(first) + encode_head(second)[:size])
        assert read_heads(file) == [first]
        append_head(file, second)
        assert read_heads(file) == [first, second]


def test_a_whole_last_line_without_its_end_counts(tmp_path, key):
    """As shells, editors and mail leave it: a head that is dropped would hide a rollback."""
    signed_store(tmp_path / "store", key, notes=2, every=1)
    shutil.copytree(tmp_path / "store", tmp_path / "old")
    signed_store(tmp_path / "store", key, notes=1, every=1)
    lines = (tmp_path / "store" / "heads.jsonl").read_bytes().splitlines(keepends=True)
    kept = tmp_path / "kept.jsonl"
    kept.write_bytes(lines[0] + lines[-1].rstrip(b"\n"))
    assert [fault for _, fault in faults(tmp_path / "old", kept)] == [HeadFault.ROLLED_BACK]
    before = read_heads(kept)
    third = sign_head(key, bytes(16), Head(9, bytes(32)), 9)
    append_head(kept, third)
    assert read_heads(kept) == [*before, third]


def test_a_line_that_another_signer_is_writing_is_not_taken_for_a_torn_one(tmp_path, key, monkeypatch):
    file = tmp_path / "heads.jsonl"
    first, second, third = (sign_head(key, bytes(16), Head(at, bytes(32)), at) for at in (1, 2, 3))
    append_head(file, first)
    line = encode_head(second)
    with file.open("ab", buffering=0) as other:
        assert OsDisk().lock(other.fileno(), 0.0)
        other.write(line[:100])
        monkeypatch.setattr(heads_module, "LOCK_TIMEOUT_S", 0.0)
        with pytest.raises(StoreError, match="another process"):
            append_head(file, third)
        other.write(line[100:])
    append_head(file, third)
    assert read_heads(file) == [first, second, third]


def test_keys_are_written_once_and_read_back(tmp_path, key, other_key):
    path = tmp_path / "key"
    key.write(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.load(path).public_key == key.public_key
    assert load_public_key(f"{path}.pub") == load_public_key(key.public_key.hex()) == key.public_key
    for gone in ("", ".pub"):
        (tmp_path / f"key{gone}").rename(tmp_path / "aside")
        before = sorted(file.read_bytes() for file in tmp_path.iterdir())
        with pytest.raises(InputError, match="never overwritten"):
            other_key.write(path)
        assert sorted(file.read_bytes() for file in tmp_path.iterdir()) == before
        (tmp_path / "aside").rename(tmp_path / f"key{gone}")
    with pytest.raises(InputError, match=r"is a private key; give .*key\.pub"):
        load_public_key(path)
    with pytest.raises(InputError, match="not an Ed25519 private key"):
        SigningKey.load(f"{path}.pub")


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_files_that_are_no_keys_are_refused(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    for read in (SigningKey.load, load_public_key):
        with pytest.raises(InputError):
            read(tmp_path / "key")
        with pytest.raises(InputError, match="cannot be read"):
            read(tmp_path / "missing")


def test_keys_of_another_kind_are_refused(tmp_path):
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import x25519

    made = x25519.X25519PrivateKey.generate()
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (tmp_path / "key").write_bytes(made.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    public = made.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "key.pub").write_bytes(public)
    with pytest.raises(InputError, match="another kind than Ed25519"):
        SigningKey.load(tmp_path / "key")
    with pytest.raises(InputError, match="another kind than Ed25519"):
        load_public_key(tmp_path / "key.pub")


def test_without_the_library_the_extra_is_named():
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from memorygraph import AgentMemory\n"
        "from memorygraph.events.keys import SigningKey\n"
        "AgentMemory().remember('x')\n"
        "try:\n    SigningKey.generate()\nexcept ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert 'pip install "memorygraph[audit]"' in done.stdout


def test_the_heads_file_has_its_name():
    assert signing.heads_path("/store") == "/store/heads.jsonl"
