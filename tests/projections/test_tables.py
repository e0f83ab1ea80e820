from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from memorygraph.projections import tables
from memorygraph.projections.tables import CHUNK_ROWS, Interner, Table, View
from tests.projections.graph_model import chunks_of

COLUMNS = {"number": "i8", "short": "f4", "thing": "O", "vector": ("<f4", 2)}
things = st.sampled_from([None, None, None, "text", (1, 2), {"a": 1}])
rows = st.tuples(
    st.integers(-(2**63), 2**63 - 1), st.sampled_from([0.0, 0.5, -2.0]), things, st.binary(min_size=8, max_size=8)
)


def values_of(view: View) -> list[tuple]:
    """Every row, cell by cell."""
    vector = view.chunks["vector"]
    return [
        (
            *(view.value(name, row) for name in ("number", "short", "thing")),
            vector[row >> tables.CHUNK_BITS][row & tables.CHUNK_MASK].tobytes(),
        )
        for row in range(view.count)
    ]


def check_wholes(view: View, expected: list[tuple]) -> None:
    """The ways to read many rows at once agree with the cells."""
    assert view.column("number").tolist() == [row[0] for row in expected]
    assert view.column("vector").tobytes() == b"".join(row[3] for row in expected)
    assert [value for _, block in view.blocks("short") for value in block.tolist()] == [row[1] for row in expected]
    assert list(view.objects("thing")) == [(at, row[2]) for at, row in enumerate(expected) if row[2] is not None]


class TableMachine(RuleBasedStateMachine):
    """A table against a plain list; every view ever published is compared again at the end."""

    @initialize(bits=st.sampled_from([2, 3, 12]))
    def start(self, bits) -> None:
        self.chunks = chunks_of(bits)
        self.chunks.__enter__()
        self.table = Table(COLUMNS)
        self.model: list[tuple] = []
        self.views: list[tuple[View, list[tuple]]] = []

    @rule(row=rows)
    def append(self, row) -> None:
        assert self.table.append(*row) == len(self.model)
        self.model.append(row)

    @rule(batch=st.lists(rows, max_size=11))
    def extend(self, batch) -> None:
        self.table.extend(*([row[column] for row in batch] for column in range(4)))
        self.model += batch

    @rule(data=st.data(), number=st.integers(0, 9), thing=things)
    def change(self, data, number, thing) -> None:
        if self.model:
            row = data.draw(st.integers(0, len(self.model) - 1))
            column, value = data.draw(st.sampled_from([(0, number), (1, number / 2), (2, thing)]))
            self.table.set(self.table.names[column], row, value)
            self.model[row] = (*self.model[row][:column], value, *self.model[row][column + 1 :])
            assert self.table.value(self.table.names[column], row) == value

    @rule()
    def publish(self) -> None:
        self.views.append((self.table.publish(), list(self.model)))

    @invariant()
    def counts(self) -> None:
        assert self.table.count == len(self.model)

    def teardown(self) -> None:
        try:
            self.publish()
            for view, expected in self.views:
                assert values_of(view) == expected
                check_wholes(view, expected)
        finally:
            self.chunks.__exit__(None, None, None)


TableMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=30)
TestTable = TableMachine.TestCase


def numbers(count: int) -> Table:
    table = Table({"number": "i8", "thing": "O"})
    table.extend(range(count), [None] * count)
    return table


def test_real_chunks_keep_old_views_across_their_borders() -> None:
    table = numbers(CHUNK_ROWS - 1)
    views = [table.publish()]
    for count in (1, 1, CHUNK_ROWS, 5):
        table.extend(range(table.count, table.count + count), [None] * count)
        views.append(table.publish())
    for row in (0, CHUNK_ROWS - 1, CHUNK_ROWS, 2 * CHUNK_ROWS + 4):
        table.set("number", row, -1)
    assert [view.count - CHUNK_ROWS for view in views] == [-1, 0, 1, CHUNK_ROWS + 1, CHUNK_ROWS + 6]
    for view in views:
        assert np.array_equal(view.column("number"), np.arange(view.count))
    assert np.count_nonzero(table.publish().column("number") == -1) == 4


def test_a_column_of_nothing_takes_no_chunk() -> None:
    table = numbers(3 * CHUNK_ROWS)
    assert table.publish().size_bytes(["thing"]) == 0
    before = table.publish()
    table.set("thing", CHUNK_ROWS + 7, ("x",))
    after = table.publish()
    assert [chunk is None for chunk in after.chunks["thing"]] == [True, False, True]
    assert list(after.objects("thing")) == [(CHUNK_ROWS + 7, ("x",))]
    assert list(before.objects("thing")) == []
    assert table.publish().size_bytes(["thing"]) == 8 * CHUNK_ROWS


def test_a_small_table_is_small() -> None:
    table = Table({"number": "i8"})
    sizes = []
    for row in range(100):
        table.append(row)
        table.publish()
        sizes.append(table.publish().size_bytes())
    assert sizes[0] == 16 * 8
    assert sizes[-1] == 128 * 8
    assert table.publish().column("number").tolist() == list(range(100))


def test_a_view_is_new_only_if_something_changed() -> None:
    table = numbers(3)
    first = table.publish()
    assert table.publish() is first
    table.set("number", 1, 9)
    assert table.publish() is not first


def test_versions_change_with_the_rows_of_their_chunk_alone() -> None:
    table = numbers(3 * CHUNK_ROWS)
    before = table.publish().versions
    table.set("number", CHUNK_ROWS, 5)
    after = table.publish().versions
    assert [one != other for one, other in zip(before, after, strict=True)] == [False, True, False, True]


def test_a_batch_copies_a_published_chunk_once() -> None:
    table = numbers(10)
    view = table.publish()
    table.set("number", 1, 5)
    copied = table._chunks["number"][0]
    table.set("number", 2, 5)
    assert table._chunks["number"][0] is copied
    assert copied is not view.chunks["number"][0]


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="unequal"):
        numbers(0).extend([1, 2], [None])


def test_without_the_copy_a_view_would_change(monkeypatch) -> None:
    monkeypatch.setattr(Table, "_writable", lambda table, name, index, _: table._chunks[name][index])
    table = numbers(10)
    view = table.publish()
    table.set("number", 1, 99)
    assert view.value("number", 1) == 99  # the mutant: what the machine above would catch


def test_readers_see_whole_rows_while_the_writer_goes_on() -> None:
    with chunks_of(4):
        table = Table({"one": "i8", "other": "i8"})
        table.append(0, 0)
        published = [table.publish()]
        done = threading.Event()
        wrong: list[View] = []

        def read() -> None:
            while not done.is_set():
                view = published[0]
                one, other = view.column("one"), view.column("other")
                if len(one) != view.count or not np.array_equal(one, other):
                    wrong.append(view)

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        for step in range(1, 600):
            table.append(step, step)
            row = step * 7 % table.count
            table.set("one", row, -step)
            table.set("other", row, -step)
            published[0] = table.publish()
        done.set()
        for reader in readers:
            reader.join()
        assert not wrong


def test_an_interner_keeps_rows_for_ever() -> None:
    interner = Interner()
    assert [interner.add(name) for name in ("a", "b")] == [0, 1]
    assert interner.rows == {"a": 0, "b": 1}
    assert interner.ids == ["a", "b"]
    assert interner.size_bytes() > 0


def test_objects_are_gathered_from_any_chunks() -> None:
    with chunks_of(2):
        table = Table({"value": "O"})
        values = [None] * 4 + ["a", None, {"b": 1}, "c", None]
        for value in values:
            table.append(value)
        view = table.publish()
        rows = np.array([8, 6, 0, 4, 6, 3, 7], dtype=np.int32)
        assert view.gather("value", rows) == [values[row] for row in rows]
        assert view.gather("value", rows[:0]) == []
