"""A JSON file is not trusted: every value passes the rules of ``remember`` and ``link``, or is refused by name."""

import base64
import json
import random

import numpy as np
import pytest

from memorygraph import AgentMemory
from memorygraph.core.types import ImportFormatError
from tests.memory.test_files import full

_LONG_NUMBER = 10**400
_BAD_NUMBERS = (float("nan"), float("inf"), -1.5, 1.5, _LONG_NUMBER, "0.5", True, None, [])
_BAD_CODES = (-1, 256, 1.5, _LONG_NUMBER, "1", None, True)
_BAD_TIMES = (1 << 58, -(1 << 58), 1 << 63, _LONG_NUMBER, 0.5, "now", None)
_BAD_NOTES = ("", "\ud800", "two\nlines", "x" * 513, 5, [])
_BAD_METADATA = (
    {"x": float("nan")},
    {"x": "\ud800"},
    {"\ud800": 1},
    {"x": _LONG_NUMBER},
    {"x": "y" * (8 << 20)},
    None,
    [1],
)
_CARD = {
    "model": 1,
    "stability_days": 2.5,
    "difficulty": 5.0,
    "repetitions": 1,
    "reviewed_us": 5,
    "due_us": 9,
    "grades": [0.5],
}
_BAD_CARD_VALUES = {
    "model": (-1, 256, None),
    "stability_days": (0.0, -1.0, float("nan"), float("inf"), "1"),
    "difficulty": (float("nan"), None),
    "repetitions": (-1, 1 << 32, 0.5),
    "reviewed_us": (1 << 62, None),
    "due_us": (-(1 << 62), "soon"),
    "grades": ([1.5], [float("nan")], 5),
}
_BAD_CARDS = (
    *({**_CARD, name: value} for name, values in _BAD_CARD_VALUES.items() for value in values),
    {"model": 1},
    5,
    [],
)

_BAD_NODE_VALUES = {
    "id": (*_BAD_NOTES, None),
    "content": ("\ud800", "x" * (8 << 20), "x" * (8 << 20 | 1), 5, None),
    "memory_type": _BAD_CODES,
    "consolidation_state": _BAD_CODES,
    "decay_function": _BAD_CODES,
    "importance": _BAD_NUMBERS,
    "emotional_valence": _BAD_NUMBERS,
    "confidence": _BAD_NUMBERS,
    "decay_rate": (float("nan"), float("inf"), 0, -1, 1e9, _LONG_NUMBER, "1", None),
    "tags": ([""], ["\ud800"], [5], "boat", None),
    "metadata": _BAD_METADATA,
    "created_us": _BAD_TIMES,
    "occurred_us": _BAD_TIMES,
    "access_count": (-1, 1 << 32, _LONG_NUMBER, 0.5, None),
    "access_times_us": (*([time_us] for time_us in _BAD_TIMES), 5, None),
    "speaker": _BAD_NOTES,
    "session": ("", "\ud800", 1 << 63, _LONG_NUMBER, 0.5, [], True),
    "source": _BAD_NOTES,
    "review": _BAD_CARDS,
    "partition": ([-1, ""], [256, ""], [3, "\ud800"], ["3"], [3, 3], None),
    "vector": (
        "?",
        "AAAA",
        base64.b64encode(np.full(8, np.nan, "<f4")).decode(),
        base64.b64encode(np.full(8, 1e30, "<f4")).decode(),
        base64.b64encode(np.ones(4, "<f4")).decode(),
        None,
    ),
    "space": (1,),
    "unknown": (1,),
}
_BAD_EDGE_VALUES = {
    "id": (*_BAD_NOTES[1:], None),  # an edge may have none
    "source_id": ("nobody", "moon", "\ud800", 5, None),
    "target_id": ("nobody", "mast", "", None),
    "edge_type": _BAD_CODES,
    "weight": _BAD_NUMBERS,
    "confidence": _BAD_NUMBERS,
    "directed": (1, "yes", None),
    "metadata": _BAD_METADATA,
    "unknown": (1,),
}


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "memory.json"
    full().save(path)
    return path.read_text()


def is_refused(path, where):
    """Loading a file and opening it as a store both say what is wrong and where, and make nothing."""
    for use in (AgentMemory.load, AgentMemory):
        with pytest.raises(ImportFormatError, match=where) as caught:
            use(path)
        message = str(caught.value)
        assert message.encode().startswith(f"{path} is damaged".encode())
        assert "\n" not in message
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("field", _BAD_NODE_VALUES)
def test_every_value_of_a_node_is_checked(tmp_path, document, field):
    path = tmp_path / "memory.json"
    for value in _BAD_NODE_VALUES[field]:
        changed = json.loads(document)
        changed["nodes"][0][field] = value
        path.write_text(json.dumps(changed))
        is_refused(path, r"nodes\[0\]")


@pytest.mark.parametrize("field", _BAD_EDGE_VALUES)
def test_every_value_of_an_edge_is_checked(tmp_path, document, field):
    path = tmp_path / "memory.json"
    for value in _BAD_EDGE_VALUES[field]:
        changed = json.loads(document)
        at = next(at for at, edge in enumerate(changed["edges"]) if edge["id"] == "chosen")
        changed["edges"][at][field] = value
        path.write_text(json.dumps(changed))
        is_refused(path, rf"edges\[{at}\]")


@pytest.mark.parametrize("part", ["nodes", "edges"])
def test_a_missing_field_is_named(tmp_path, document, part):
    path = tmp_path / "memory.json"
    for field in json.loads(document)[part][0]:
        changed = json.loads(document)
        del changed[part][0][field]
        path.write_text(json.dumps(changed))
        is_refused(path, f"the field '{field}' is missing")


def test_unknown_codes_of_newer_releases_are_kept(tmp_path, document):
    path = tmp_path / "memory.json"
    changed = json.loads(document)
    for field in ("memory_type", "consolidation_state", "decay_function"):
        changed["nodes"][0][field] = 255
    changed["edges"][0]["edge_type"] = 0
    path.write_text(json.dumps(changed))
    AgentMemory.load(path).save(path)
    again = json.loads(path.read_text())
    assert again["nodes"][0]["memory_type"] == 255
    assert again["edges"][0]["edge_type"] == 0


def test_nothing_raw_escapes_from_a_damaged_file(tmp_path, document):
    """A character is lost or replaced anywhere: the file is loaded or refused by name."""
    path = tmp_path / "memory.json"
    dice = random.Random(1)
    refused = loaded = 0
    for _ in range(150):
        at = dice.randrange(len(document))
        path.write_text(document[:at] + dice.choice(["", "9", "-", "e", '"', "\\ud800", "{", "é"]) + document[at + 1 :])
        try:
            AgentMemory.load(path)
        except ImportFormatError as error:
            refused += str(path) in str(error)
        else:
            loaded += 1
    assert refused > 50
    assert refused + loaded == 150
