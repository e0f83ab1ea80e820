"""``Upkeep``: what keeps a memory's store small and safe."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from memorygraph import backup, checks
from memorygraph.actors.compaction import CompactionReport, RetentionPolicy
from memorygraph.actors.engine import Engine, Saved
from memorygraph.actors.index_queries import CatchUp
from memorygraph.backup import BackupReport, RestoreReport
from memorygraph.events.errors import InputError
from memorygraph.home import Home

INDEX_ROWS = 4096  # taken in at once
_DEFAULT = RetentionPolicy()


class Upkeep:
    """The part of ``AgentMemory`` that looks after its store."""

    _engine: Engine
    _home: Home
    _use_faiss: float

    def compact(self, policy: RetentionPolicy = _DEFAULT) -> CompactionReport:
        """Make the log smaller: replace the records that a policy does not keep by their hashes.

        The present does not change, and the chain still verifies. The past does: a view from before shows lower counts
        of recalls, and lacks memories whose content left; it says so in its ``notes``. Others may read and write
        meanwhile.

        Raises:
            InputError: the policy cannot be used, or this thread is in a transaction.
            StoreError: it could not be written. What was replaced until then stays so; call it again to go on.
        """
        author = self._home.author
        return self._engine.compact(_checked(policy), author.principal, author.provenance())

    def snapshot(self) -> Saved:
        """Keep the state as it is now in the store, so that opening it and looking back need not read the whole log.

        Snapshots are also written by themselves: beside the work when much has changed, and on close. Parts that did
        not change are shared with the one before. Whatever becomes of them, the log has everything.

        Raises:
            StoreReadOnly: the memory was opened read-only, or is a view of the past.
            StoreError: it could not be written, or another process is writing one, or the log is being compacted.
        """
        return self._engine.snapshot()

    def build_index(self, progress: Callable[[int, int], None] | None = None) -> int:
        """Take into recall's index what it lacks, and return how many texts it has; with ``use_faiss`` make its lists.

        Else the next recall does so: after a long log was opened without a snapshot, that one takes its time.

        Args:
            progress: called with (texts in the index, texts in all).
        """
        done, total = 0, 1
        while done < total:
            done, total = self._engine.ask(CatchUp(rows_max=INDEX_ROWS, faiss=self._use_faiss)).value
            if progress is not None:
                progress(done, total)
        return done

    def backup(self, path: str | Path) -> BackupReport:
        """Make a backup in a folder, or bring the one that is there up to date; others may read and write meanwhile.

        It ends at the position that the memory has now, and is read back. What a compaction let go later stays in it.

        Raises:
            ForeignStore: the folder holds something else.
            BackupMismatch: it is a backup of another history of this memory; it stays as it is.
            StoreError: it could not be made; what was there stays as it was.
            InputError: this thread is in a transaction.
        """
        return backup.back_up(self._engine, path)

    @staticmethod
    def restore(path: str | Path, to: str | Path) -> RestoreReport:
        """Make a store out of a backup and check its chain and digest; nothing is ever overwritten.

        Raises:
            ForeignStore: there is something at ``to``.
            DamagedLog: the backup is damaged; nothing was made.
        """
        return backup.restore(path, to)


def _checked(policy: RetentionPolicy) -> RetentionPolicy:
    if not isinstance(policy, RetentionPolicy):
        raise InputError(f"policy must be a RetentionPolicy(...), not {checks.shown(policy)}")
    for name in ("keep_accesses", "keep_forgotten"):
        length = getattr(policy, name)
        if length is not None and (not isinstance(length, timedelta) or length < timedelta(0)):
            raise InputError(f"{name} must be a timedelta or None, not {checks.shown(length)}")
    if policy.keep_access_positions is not None:
        checks.count("keep_access_positions", policy.keep_access_positions, 0, 2**62)
    return policy
