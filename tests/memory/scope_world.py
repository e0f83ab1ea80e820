"""Agents that write to one pool at random, and what each of them must see of it.

The model knows of every memory whose it is and where it was when; from that alone follows which memories an agent may
see. What it must then read is asked of a plain memory that was given these, and never had the others.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest

from memorygraph import AgentMemory, MemoryArchiver, Scope, SharedMemoryPool
from memorygraph.actors.commands import AddEdges, AddNodes
from memorygraph.events.errors import NodeNotFoundError, NotOwnerError
from memorygraph.events.records import EdgesAdded, NodeAdded
from memorygraph.multiagent import AgentView
from memorygraph.projections.frame import NodeState

ROOMS = {"ann": "red", "bob": "red", "cid": "blue"}
PEOPLE = ("Alice Moore", "Bernd", "Chen", "Dora")
CITIES = ("Paris", "Berlin", "Quito")
THINGS = ("a red kite", "the old ledger", "three lemons", "rain in the harbour")
QUESTIONS = ("Where does Bernd live?", "Who met Alice Moore in Paris?", "the old ledger", "lemons and rain", "Chen")
EVERYTHING = 1000

Stay = tuple[int, str]  # since which position, in which place: "private ann", "shared red", "public"


class Note(NamedTuple):
    """A memory as the model knows it: whose it is, where it was since when, when it was forgotten or archived."""

    id: str
    owner: str
    stays: list[Stay]
    ended: list[int]
    shelved: list[tuple[int, bool]]

    def place(self, position: int) -> str:
        """Where it is at a position, as far as it is there."""
        return [place for since, place in self.stays if since <= position][-1]

    def is_alive(self, position: int) -> bool:
        """Whether it is there at a position."""
        is_archived = [archived for since, archived in self.shelved if since <= position][-1:]
        is_forgotten = self.ended and self.ended[0] <= position
        return self.stays[0][0] <= position and not is_forgotten and is_archived != [True]


class World:
    """A pool, the agents' views, and the model beside them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.pool = SharedMemoryPool(AgentMemory(auto_associate=False, embedding_dim=16))
        self.views = {name: self.pool.agent(name, room=room) for name, room in ROOMS.items()}
        self.notes: dict[str, Note] = {}

    def places(self, agent: str) -> set[str]:
        """What an agent may see."""
        return {f"private {agent}", f"shared {ROOMS[agent]}", "public"}

    def may_see_now(self, note: Note, agent: str) -> bool:
        """Whether it is, or was last, where the agent may see it."""
        return note.stays[-1][1] in self.places(agent)

    def may_see(self, note: Note, agent: str, position: int) -> bool:
        """Whether an agent might see it at a position and may now."""
        return self.may_see_now(note, agent) and note.place(position) in self.places(agent)

    def visible(self, agent: str) -> set[str]:
        """The ids of the memories that an agent sees now."""
        position = self.pool.memory.position
        return {note.id for note in self.notes.values() if note.is_alive(position) and self.may_see_now(note, agent)}

    def step(self) -> None:
        """Let some agent do something."""
        agent = self.random.choice(sorted(ROOMS))
        acts = [self._remember] * 5 + [self._link] * 3 + [self._share] * 2 + [self._revise, self._forget, self._recall]
        acts += [self._archive]
        self.random.choice(acts)(agent)

    def _remember(self, agent: str) -> None:
        choice = self.random.choice
        scope = choice(list(Scope))
        who, other, city, thing = choice(PEOPLE), choice(PEOPLE), choice(CITIES), choice(THINGS)
        texts = (f"{who} now lives in {city}.", f"{who} met {other} in {city}.", f"{who} has {thing}.", f"{thing}?")
        text = choice(texts)
        node = self.views[agent].remember(
            text,
            importance=choice((0.2, 0.9)),
            tags=choice(((), ("x",), ("x", "y"))),
            speaker=choice((None, None, "Bernd", "Dora")),
            session=choice((None, None, 1, 2)),
            metadata=choice(({}, {"k": 1})),
            scope=scope,
            node_id=f"n{len(self.notes)}",
        )
        place = {"private": f"private {agent}", "shared": f"shared {ROOMS[agent]}", "public": "public"}[scope.value]
        self.notes[node.id] = Note(node.id, agent, [(self.pool.memory.position, place)], [], [])

    def _link(self, agent: str) -> None:
        seen = sorted(self.visible(agent))
        if len(seen) > 1:
            source, target = self.random.sample(seen, 2)
            kind, weight = self.random.choice(("causal", "contradicts", "similarity")), self.random.choice((0.3, 0.9))
            self.views[agent].link(source, target, kind, weight)

    def _share(self, agent: str) -> None:
        living = self._living()
        if not living:
            return
        note = self.notes[self.random.choice(living)]
        scope = self.random.choice(list(Scope))
        is_owner = note.owner == agent and self.may_see_now(note, agent)
        assert self.views[agent].share(note.id, scope) == is_owner
        place = {"private": f"private {agent}", "shared": f"shared {ROOMS[agent]}", "public": "public"}[scope.value]
        if is_owner and place != note.stays[-1][1]:
            note.stays.append((self.pool.memory.position, place))

    def _revise(self, agent: str) -> None:
        self._change(agent, lambda view, name: view.revise(name, content=f"{self.random.choice(PEOPLE)} sleeps."))

    def _forget(self, agent: str) -> None:
        def forget(view: AgentView, name: str) -> None:
            view.forget(ids=[name])
            self.notes[name].ended.append(self.pool.memory.position)

        self._change(agent, forget)

    def _change(self, agent: str, change: Callable[[AgentView, str], Any]) -> None:
        """Change any memory at all: the owner can, who sees it hears that it is somebody else's, the rest nothing."""
        living = self._living()
        if not living:
            return
        note = self.notes[self.random.choice(living)]
        if not self.may_see_now(note, agent):
            _expect(NodeNotFoundError, lambda: change(self.views[agent], note.id))
        elif note.owner != agent:
            _expect(NotOwnerError, lambda: change(self.views[agent], note.id))
        else:
            change(self.views[agent], note.id)

    def _archive(self, agent: str) -> None:
        """Put something of the agent's own away, or bring it back."""
        archiver = MemoryArchiver(self.views[agent])
        owned = [n for n in self.notes.values() if n.owner == agent and not n.ended and self.may_see_now(n, agent)]
        if owned:
            note = self.random.choice(owned)
            is_archived = note.shelved[-1:] != [] and note.shelved[-1][1]
            (archiver.restore if is_archived else archiver.archive_node)(note.id)
            note.shelved.append((self.pool.memory.position, not is_archived))

    def _living(self) -> list[str]:
        position = self.pool.memory.position
        return sorted(note.id for note in self.notes.values() if note.is_alive(position))

    def _recall(self, agent: str) -> None:
        self.views[agent].recall(self.random.choice(QUESTIONS), k=3)
        self.pool.memory.flush()

    def plain(self, agent: str) -> AgentMemory:
        """Return a memory that was only ever given what an agent sees now."""
        seen = self.visible(agent)
        plain = AgentMemory(auto_associate=False, embedding_dim=16)
        states = [node._now() for node in self.pool.memory.find() if node.id in seen]
        for state in states:
            vector = self.pool.memory._home.vector(state, self.pool.memory.position)
            plain._home.execute(AddNodes(nodes=[_brought(state, vector)], space=plain._home.space))
        for edge in self.pool.memory.graph.edges():
            if edge.source_id in seen and edge.target_id in seen:
                plain._home.execute(
                    AddEdges(
                        edges=EdgesAdded(
                            sources=[edge.source_id],
                            targets=[edge.target_id],
                            weights=[edge.weight],
                            types=[edge.edge_type.code],
                            undirected=[not edge.directed],
                        )
                    )
                )
        return plain


def _brought(state: NodeState, vector: bytes) -> NodeAdded:
    fields = set(NodeAdded.__struct_fields__) & set(NodeState.__struct_fields__)
    values = {name: getattr(state, name) for name in fields} | {"vector": vector, "recorded_us": state.created_us}
    return NodeAdded(**values)


def _expect(error: type[Exception], act: Callable[[], Any]) -> None:
    with pytest.raises((NodeNotFoundError, NotOwnerError)) as raised:
        act()
    assert raised.type is error


def values_of(state: NodeState | NodeAdded) -> dict[str, Any]:
    """A node's values, but for where in its log they were written."""
    return {name: value for name, value in msgspec.structs.asdict(state).items() if name not in {"birth", "version"}}
