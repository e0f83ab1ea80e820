"""Graphs as SQLite databases: the tables ``nodes``, ``edges`` and ``meta``, for programs and for people who ask in SQL.

A file is written anew and replaced as a whole, so it is never in the middle of a transaction and has no journal beside
it. Times are microseconds since 1970; vectors are blobs of little-endian float32.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from memorygraph import checks
from memorygraph.events.errors import ImportFormatError, StoreError
from memorygraph.persistence.backend import FileBackend
from memorygraph.persistence.checking import BAD_VALUE
from memorygraph.persistence.contents import Contents
from memorygraph.persistence.rows import EDGE_COLUMNS, NODE_COLUMNS, about_of, contents_from, edge_rows, node_rows

if TYPE_CHECKING:
    import sqlite3

SQLITE_VERSION: Final = 1
APPLICATION_ID: Final = 0x4D47_5246  # "MGRF": tells our files from other databases
META_COLUMNS: Final = {"key": "TEXT NOT NULL", "value": "TEXT NOT NULL"}  # values are JSON
_INDEXES: Final = (
    "CREATE UNIQUE INDEX nodes_id ON nodes(id)",
    "CREATE INDEX edges_source ON edges(source_id)",
    "CREATE INDEX edges_target ON edges(target_id)",
)


class SQLiteBackend(FileBackend):
    """One SQLite database per graph."""

    name = "sqlite"
    suffix = ".db"

    def write(self, contents: Contents, path: Path) -> None:
        """Fill the tables in one transaction; its durability is that of the whole file, so SQLite need not sync."""
        import sqlite3

        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as database:
                for pragma in (
                    "page_size = 16384",
                    "journal_mode = OFF",
                    "synchronous = OFF",
                    "locking_mode = EXCLUSIVE",
                ):
                    database.execute(f"PRAGMA {pragma}")
                database.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                database.execute(f"PRAGMA user_version = {SQLITE_VERSION}")
                database.execute("BEGIN")
                meta = [(key, msgspec.json.encode(value).decode()) for key, value in about_of(contents).items()]
                _fill(database, "meta", META_COLUMNS, meta)
                _fill(database, "nodes", NODE_COLUMNS, node_rows(contents.nodes))
                _fill(database, "edges", EDGE_COLUMNS, edge_rows(contents.edges))
                for index in _INDEXES:
                    database.execute(index)
                database.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"{path.parent}: cannot write the database: {error}", path=str(path)) from error

    def read(self, path: Path) -> Contents:
        """Read the tables in the order of birth."""
        import sqlite3

        try:
            # Immutable: what other programs left beside the file (a journal, a lock) is not ours.
            with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
                _require_ours(database, path)
                meta = dict(database.execute("SELECT key, value FROM meta").fetchall())
                about = {key: msgspec.json.decode(value) for key, value in meta.items()}
                return contents_from(
                    about, _rows(database, "nodes", NODE_COLUMNS), _rows(database, "edges", EDGE_COLUMNS)
                )
        except (sqlite3.Error, *BAD_VALUE) as error:
            if isinstance(error, ImportFormatError):
                raise
            raise ImportFormatError(f"{path} is damaged: {checks.one_line(error)}", path=str(path)) from error


def _fill(database: sqlite3.Connection, table: str, columns: dict[str, str], rows: Iterable[tuple[Any, ...]]) -> None:
    declared = ", ".join(f"{name} {kind}".rstrip() for name, kind in columns.items())
    database.execute(f"CREATE TABLE {table} ({declared})")
    database.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", rows)  # noqa: S608 - our own names


def _rows(database: sqlite3.Connection, table: str, columns: dict[str, str]) -> sqlite3.Cursor:
    """Give a table's rows in the order in which they were written."""
    return database.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY rowid")  # noqa: S608 - our own names


def _require_ours(database: sqlite3.Connection, path: Path) -> None:
    (application,) = database.execute("PRAGMA application_id").fetchone()
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise ImportFormatError(
            f"{path} is a database of another program, not a graph that save() wrote", path=str(path)
        )
    if version != SQLITE_VERSION:
        raise ImportFormatError(
            f"{path} has version {version}; this release reads version {SQLITE_VERSION}", path=str(path)
        )
