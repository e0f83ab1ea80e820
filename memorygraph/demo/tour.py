"""The tour: remember, ask, reason, crash, look back, check. Each chapter prints what it did and checks itself."""

import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Final

from memorygraph import AgentMemory
from memorygraph.cli.output import progress_bar
from memorygraph.cli.reads import MATCHING
from memorygraph.core.node import MemoryNode
from memorygraph.demo.crash import kill_a_writer
from memorygraph.demo.questions import Questions, choose, keyword_search
from memorygraph.demo.stage import Stage, origin
from memorygraph.ingest import Harvest, SyncReport, harvest_path, sync

_HITS_SHOWN: Final = 2
_REASONED: Final = 20
_LINKED_SHOWN: Final = 3
_NOTE: Final = "demo:review"
_BEFORE: Final = "The next review of {name} is on Tuesday."
_AFTER: Final = "The next review of {name} was moved to Thursday."


class Tour:
    """One walk through; ``failures`` lists, in a line each, what did not hold."""

    def __init__(self, folder: Path, store: Path, asked: Sequence[str]) -> None:
        self.failures: list[str] = []
        self._folder = folder
        self._store = store
        self._asked = asked
        self._stage = Stage()

    def run(self) -> bool:
        """Walk through all chapters and return whether everything held.

        Raises:
            MemoryGraphError: the store cannot be used, or the folder cannot be read.
        """
        began_s = monotonic()
        with progress_bar("reading") as step:
            harvest = harvest_path(self._folder, step)
        if not harvest.items:
            self.failures += [
                f"there is nothing to remember in {self._folder}: no commits, texts (.md, .rst, .txt), docstrings",
                *harvest.notes,
                "name another folder: make demo REPO=PATH (or --repo PATH)",
            ]
            return False
        with AgentMemory(path=self._store) as memory:
            self._remember(memory, harvest, began_s)
            nodes = [node for node in memory.find() if node.source != _NOTE]
            questions = choose(self._folder, nodes, self._asked)
            self._ask(memory, questions, nodes)
            self._reason(memory, questions)
            self._crash(memory)
            self._look_back(memory)
            self._check(memory)
        self._farewell()
        return not self.failures

    def _remember(self, memory: AgentMemory, harvest: Harvest, began_s: float) -> None:
        known = memory.position > 1
        commits = "commits, " if any(item.source.startswith("git:") for item in harvest.items) else ""
        self._stage.chapter(
            "Remember",
            f"What {self._folder} holds becomes memories: {commits}sections of text, docstrings of Python.",
        )
        first, *former = harvest.origins
        with progress_bar("writing") as step:
            report = sync(memory, harvest, origin=first, former_origins=former, progress=step)
        took_s = monotonic() - began_s
        if known:
            self._stage.say(
                f"The store of an earlier run was there; this one brought it up to date: {_changes(report)}."
            )
        stats = memory.stats()
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in stats.type_distribution.items())
        held = f"{_counted(stats.num_nodes, 'memory', 'memories')} ({kinds}), {_counted(stats.num_edges, 'link')}"
        self._stage.say(f"{held}, in {took_s:.1f} s.")
        self._stage.say(
            "What changed together is one record in a log; records are numbered from 1, and that number is the "
            f"record's position. This memory is at position {stats.position:,}."
        )
        for note in report.notes:
            self._stage.say(f"Note: {note}", style="yellow")

    def _ask(self, memory: AgentMemory, questions: Questions, nodes: Sequence[MemoryNode]) -> None:
        self._stage.chapter(
            "Ask",
            "recall ranks by how telling each word is, and says why. Below: what counting the same words finds first.",
        )
        if questions.origin:
            self._stage.say(questions.origin)
            self._stage.gap()
        for number, question in enumerate(questions.recall):
            if number:
                self._stage.gap()
            hits = memory.recall(question, k=_HITS_SHOWN, threshold=MATCHING, reinforce=False)
            self._stage.ask(question, hits)
            if not hits:
                self._stage.say("nothing matches")
            counted = keyword_search(question, nodes)
            if counted is None:
                self._stage.remark("keyword search: nothing")
            else:
                same = " (the same)" if hits and hits[0].node_id == counted.id else ""
                self._stage.remark(f"keyword search{same}: {origin(counted)}", counted.content)

    def _reason(self, memory: AgentMemory, questions: Questions) -> None:
        self._stage.chapter(
            "Reason", "reason starts from what recall finds and follows links to what does not match at all."
        )
        hits = memory.reason(questions.reason, k=_REASONED, reinforce=False)
        if not hits:
            self._stage.say(f"“{questions.reason}”", style="bold")
            self._stage.say("nothing matches, so there is nothing to start from")
            return
        linked = [hit for hit in hits if hit.why.walk is not None]
        names = {hit.why.path[0]: memory.get(hit.why.path[0]).source or "" for hit in linked}
        self._stage.ask(
            questions.reason, [*hits[:1], *[hit for hit in linked if hit is not hits[0]][:_LINKED_SHOWN]], names
        )

    def _crash(self, memory: AgentMemory) -> None:
        self._stage.chapter(
            "Pull the plug",
            "A second process copies the memories into another store, one by one and, when it is through, all over "
            "again. In the middle of that it is killed.",
        )
        after = kill_a_writer(memory)
        self._stage.say(
            f"Ended by signal {after.signal}, after acknowledging {after.acknowledged} copies "
            f"of {_counted(min(after.acknowledged, len(memory)), 'memory', 'memories')}."
        )
        there = after.acknowledged - len(after.lost)
        self._stage.say(
            f"Reopened: {there} of {after.acknowledged} are there, {len(after.lost)} lost; "
            f"chain {'whole' if after.whole else 'BROKEN'} over {after.records} records."
        )
        for note in after.notes:
            self._stage.say(f"Note: {note}", style="yellow")
        if after.lost:
            self.failures.append(
                f"{len(after.lost)} acknowledged copies are lost, the first at {after.lost[0].position}"
            )
        if not after.whole:
            self.failures.append("the chain is broken after the kill")

    def _look_back(self, memory: AgentMemory) -> None:
        self._stage.chapter(
            "Look back", "A memory is revised, and the past can still be asked: at() opens any position."
        )
        name = self._folder.name
        note = self._noted(memory, _BEFORE.format(name=name))
        before = memory.position
        memory.revise(note.id, content=_AFTER.format(name=name))
        question = f"When is the next review of {name}?"
        now = memory.recall(question, k=1, source=_NOTE, reinforce=False)
        then = memory.at(before).recall(question, k=1, source=_NOTE, reinforce=False)
        self._stage.say(f"“{question}”", style="bold")
        self._stage.facts(
            {f"now, position {memory.position}": now[0].content, f"at position {before}": then[0].content}
        )
        if (then[0].content, now[0].content) != (_BEFORE.format(name=name), _AFTER.format(name=name)):
            self.failures.append("now and then do not give the two versions of the note")

    @staticmethod
    def _noted(memory: AgentMemory, content: str) -> MemoryNode:
        """Remember the note, or set the one of an earlier run back to what it said first."""
        earlier = memory.find(source=_NOTE)
        return memory.revise(earlier[0].id, content=content) if earlier else memory.remember(content, source=_NOTE)

    def _check(self, memory: AgentMemory) -> None:
        self._stage.chapter(
            "Check", "Every record is chained to the one before by SHA-256; the state can be computed again."
        )
        head, report = memory.head(), memory.verify()
        same = memory.replay() == memory.digest()
        self._stage.facts(
            {
                "head": f"position {head.position}",
                "chain": head.chain.hex(),
                "verify": f"{'whole' if report.whole else 'BROKEN'}: {report.records:,} records checked",
                "replay": "the same state from the first record" if same else "ANOTHER STATE",
                "store": str(self._store),
            }
        )
        if not report.whole:
            self.failures.append(f"the chain is broken at {report.damage[0].where}")
        if not same:
            self.failures.append("computed again, the state is another")

    def _farewell(self) -> None:
        script = Path(sys.executable).with_name("memorygraph")
        command = str(script) if script.exists() else f"{sys.executable} -m memorygraph"
        if command.startswith(str(Path.cwd())):
            command = command.removeprefix(str(Path.cwd())).lstrip("/")
        self._stage.chapter(
            "Your turn", "The same on your own data: a repository, a folder of notes, a chat log (JSONL)."
        )
        self._stage.say(f"{command} --store my.memory ingest PATH")
        self._stage.say(f'{command} --store my.memory recall "YOUR QUESTION"')
        self._stage.gap()


def _counted(count: int, one: str, several: str = "") -> str:
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def _changes(report: SyncReport) -> str:
    counts = {"new": report.added, "changed": report.revised, "gone": report.forgotten, "as before": report.unchanged}
    return ", ".join(f"{count:,} {what}" for what, count in counts.items())
