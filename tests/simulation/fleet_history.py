"""What the clients of a fleet were told, and whether the memories that are found afterwards keep to it.

The checker knows nothing of hosts. Of each command it knows who sent it when, and what came of it: acknowledged (with
its position), refused (with nothing written), or unknown. The model is what the operations, in the order of the log,
come to in plain dictionaries.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from memorygraph.actors import commands as cmd
from memorygraph.actors.local import LocalEngine
from memorygraph.events.frames import frame_header
from memorygraph.events.stores import MemoryLog

STALE_S = 1.0  # how old an answer may be, beyond what its handle knows of


class Sent(Struct):
    """A command, or a transaction, and what its sender was told."""

    memory: str
    command: cmd.Command
    begun_at: int = 0  # the newest position that anybody had been told when it was first sent
    outcome: str = "unknown"  # "acknowledged", "refused", "unknown"
    position: int = 0  # as told; 0: not told
    why: str = ""

    @property
    def is_block(self) -> bool:
        """Whether it is a transaction: it is not sent again, and what was refused of it stays so."""
        return self.command.id.startswith("block")


class Seen(Struct):
    """An answer to a question about some nodes (None: all): what the model must say of a position, too."""

    who: str
    memory: str
    position: int
    ids: list[str] | None
    contents: list[str | None]


class Model:
    """A memory in plain dictionaries."""

    def __init__(self) -> None:
        self.contents: dict[str, str] = {}
        self.importances: dict[str, float] = {}
        self.edges: list[tuple[str, str]] = []

    def apply(self, operation: Any) -> str:
        """Carry out an operation; say what is wrong with that ('' if nothing)."""
        if isinstance(operation, cmd.AddNodes):
            for node in operation.nodes:
                if node.id in self.contents:
                    return f"{node.id} is added twice"
                self.contents[node.id], self.importances[node.id] = node.content, node.importance
            return ""
        needed = _needed(operation)
        missing = [name for name in needed if name not in self.contents]
        if missing:
            return f"{type(operation).__name__} rests on {missing[0]}, which is not there"
        if isinstance(operation, cmd.ReviseNodes):
            self.contents.update({change.id: str(change.content) for change in operation.changes})
        elif isinstance(operation, cmd.ReinforceNodes):
            for name in operation.ids:
                self.importances[name] += operation.delta * (1 - self.importances[name])
        elif isinstance(operation, cmd.AddEdges):
            self.edges += zip(operation.edges.sources, operation.edges.targets, strict=True)
        elif isinstance(operation, cmd.ForgetNodes):
            for name in operation.ids:
                del self.contents[name], self.importances[name]
            self.edges = [edge for edge in self.edges if not set(edge) & set(operation.ids)]
        return ""


def _needed(operation: Any) -> list[str]:
    if isinstance(operation, cmd.ReviseNodes):
        return [change.id for change in operation.changes]
    if isinstance(operation, cmd.AddEdges):
        return operation.edges.sources + operation.edges.targets
    return list(operation.ids)


class FleetHistory:
    """Everything that was sent, told and seen; ``violations`` has a line for each broken promise."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.now_s = now_s
        self.sent: list[Sent] = []
        self.seen: list[Seen] = []
        self.records: dict[tuple[str, int], str] = {}  # as they were read: the id of the command at a position
        self.digests: dict[tuple[str, int], str] = {}
        self.violations: list[str] = []
        self.repeated: Callable[[str], bool] = lambda _: False
        self._told: dict[str, list[tuple[float, int]]] = {}  # by memory: when somebody was told of a position

    def broken(self, promise: str) -> None:
        self.violations.append(f"at {self.now_s():.3f} s: {promise}")

    # -- while it runs -------------------------------------------------------------------------------------------

    def newest(self, memory: str, *, before_s: float | None = None) -> int:
        """Give the newest position that anybody had been told (by then)."""
        told = self._told.get(memory, [])
        return max((position for at_s, position in told if before_s is None or at_s <= before_s), default=0)

    def due(self, memory: str) -> int:
        """Give the position that every answer to a question from now on must have reached."""
        return self.newest(memory, before_s=self.now_s() - STALE_S)

    def send(self, memory: str, command: cmd.Command) -> Sent:
        sent = Sent(memory, command, self.newest(memory))
        self.sent.append(sent)
        return sent

    def acknowledged(self, sent: Sent, position: int = 0) -> None:
        """The sender was told that it is done; 0: but not where."""
        name = sent.command.id
        if sent.outcome == "acknowledged" and sent.position and position and position != sent.position:
            self.broken(f"{name} was at {sent.position}, and is now at {position}")
        if position and sent.outcome == "unknown" and position <= sent.begun_at:
            self.broken(f"{name} is at {position}, and was first sent when {sent.begun_at} was known")
        sent.outcome = "acknowledged"
        if position:
            sent.position = position
            self._told.setdefault(sent.memory, []).append((self.now_s(), position))

    def refused(self, sent: Sent, error: Exception, *, was_done: bool = False) -> None:
        """The sender was told that nothing was written; ``was_done``: it was acknowledged before it was sent again."""
        if was_done:
            self.broken(f"{sent.command.id} was acknowledged, and sent again it is {type(error).__name__}: {error}")
        elif sent.outcome == "unknown":
            sent.outcome, sent.why = "refused", f"{type(error).__name__}: {error}"

    def saw_digest(self, memory: str, position: int, digest: str) -> None:
        if self.digests.setdefault((memory, position), digest) != digest:
            self.broken(f"two digests are told of position {position} of {memory}")

    def read_records(self, memory: str, read: list[tuple[int, str]]) -> None:
        if [position for position, _ in read] != list(range(1, len(read) + 1)):
            self.broken(f"records of {memory} are read at {[position for position, _ in read]}")
        for position, name in read:
            if self.records.setdefault((memory, position), name) != name:
                self.broken(f"two records are read at position {position} of {memory}")

    # -- afterwards ----------------------------------------------------------------------------------------------

    def check(self, memory: str, engine: LocalEngine) -> None:
        """Compare a memory, as it was opened anew, with the history."""
        report = engine.verify()
        if engine.read_only or not report.whole:
            self.broken(f"{memory} is damaged: {engine.notes} {report.damage}")
            return
        models = self._check_records(memory, engine)
        self._check_seen(memory, models)
        self._check_state(memory, engine, models[-1])
        self._check_digests(memory, engine)

    def _check_records(self, memory: str, engine: LocalEngine) -> list[Model]:
        """Give the model at each position, from 0 on."""
        mine = {sent.command.id: sent for sent in self.sent if sent.memory == memory}
        places: dict[str, list[int]] = {}
        models, model = [Model()], Model()
        for committed in engine.read(1):
            name = committed.command_id
            places.setdefault(name, []).append(committed.position)
            sent = mine.get(name)
            if sent is not None and len(places[name]) == 1:
                for operation in sent.command.operations:
                    if wrong := model.apply(operation):
                        self.broken(f"{name} at {committed.position} of {memory}: {wrong}")
            elif sent is None and not name.startswith("own"):
                self.broken(f"{name} at {committed.position} of {memory} was sent by nobody")
            models.append(_copied(model))
        models[-1] = model
        self.read_records(memory, sorted((position, name) for name, at in places.items() for position in at))
        for position in [at for name, at in self.records if name == memory and at >= len(models)]:
            self.broken(f"position {position} of {memory} was read, and is gone")
        for name, sent in mine.items():
            self._check_one(sent, places.get(name, []))
        return models

    def _check_one(self, sent: Sent, found: list[int]) -> None:
        name = f"{sent.command.id} of {sent.memory}"
        if len(found) > 1:
            self.broken(f"{name} was carried out twice, at {found}")
        if sent.outcome == "acknowledged" and not found:
            self.broken(f"{name} was acknowledged at {sent.position or 'an unknown position'}, and is lost")
        elif sent.position and found and found[0] != sent.position:
            self.broken(f"{name} was acknowledged at {sent.position}, and is at {found}")
        elif sent.outcome == "refused" and found and (sent.is_block or not self.repeated(sent.command.id)):
            self.broken(f"{name} was refused ({sent.why}), and is at {found}")

    def _check_seen(self, memory: str, models: list[Model]) -> None:
        for seen in self.seen:
            if seen.memory != memory:
                continue
            if seen.position >= len(models):
                self.broken(f"{seen.who} saw position {seen.position} of {memory}, which ends at {len(models) - 1}")
                continue
            contents = models[seen.position].contents
            expected = list(contents.values()) if seen.ids is None else [contents.get(name) for name in seen.ids]
            if seen.contents != expected:
                self.broken(f"{seen.who} saw {seen.contents} at {seen.position} of {memory}, where {expected} was")

    def _check_state(self, memory: str, engine: LocalEngine, model: Model) -> None:
        nodes = engine.ask(cmd.FindNodes()).value
        if {node.id: node.content for node in nodes} != model.contents:
            self.broken(f"the contents of {memory} are not those of the model")
        elif any(abs(node.importance - model.importances[node.id]) > 1e-6 for node in nodes):
            self.broken(f"the importances of {memory} are not those of the model")
        edges = engine.ask(cmd.AllEdges()).value
        if sorted((edge.source_id, edge.target_id) for edge in edges) != sorted(model.edges):
            self.broken(f"the edges of {memory} are not those of the model")

    def _check_digests(self, memory: str, engine: LocalEngine) -> None:
        """Replay the log, frame by frame, in an engine that knows neither disk nor fleet."""
        log, replay = MemoryLog(bytes.fromhex(engine.memory_id)), None
        told = {position: digest for (name, position), digest in self.digests.items() if name == memory}
        for frame in engine.frames():
            with log.lock():
                log.adopt(frame)
            if frame_header(frame).last in told:
                replay = replay or LocalEngine(log)
                answer = replay.ask(cmd.Digest())
                if told.pop(answer.position) != answer.value:
                    self.broken(f"the digest told of position {answer.position} of {memory} is not that of a replay")
        replay = replay or LocalEngine(log)
        if replay.ask(cmd.Digest()) != engine.ask(cmd.Digest()):
            self.broken(f"the state of {memory} is not a replay of its log")
        for position in told:
            self.broken(f"a digest was told of position {position} of {memory}, where no commit ends")


def _copied(model: Model) -> Model:
    copy = Model()
    copy.contents = dict(model.contents)
    return copy
