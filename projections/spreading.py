"""Spreading activation (Collins & Loftus, 1975), level by level, so that no order of visits changes the result.

- ``max``: A(v) = max over edges u -> v of A(u) * share(u, v), over paths of at most ``max_depth`` edges: exact.
- ``sum``: A(v) = sum over all walks of at most ``max_depth`` edges; it may exceed 1.
- ``ppr``: personalised PageRank (Page et al., 1999; Haveliwala, 2002): with the probability ``decay`` a walker goes on
  along an edge, else it starts anew at a source. What is less than ``RESIDUAL`` of all stays where it is.
- ``reference``: best first, each node expanded once, at most ``max_nodes`` of them: what older packages do. A weaker
  but shorter way is lost, so with a limit of depth it finds less than ``max``.

``conductance.py`` says what the share of an edge is. What happens at nodes is a generator: it yields the nodes that
pass activation on, and is sent what arrives along their arcs. So the arcs may be here, or divided among shards.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from heapq import heappop, heappush
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from memorygraph.projections.arcs import Mask, Rows, distinct
from memorygraph.projections.conductance import PPR, REFERENCE, SUM, Conductance, Shares, SpreadRules, share_max
from memorygraph.projections.frame import NO_ROW, Frame

RESIDUAL: Final = 1e-7
ROUNDS_MAX: Final = 1000

ONWARD: Final = "onward"
TRANSITIONS: Final = "transitions"
BACK: Final = "back"
LINKS: Final = "links"

Doubles = NDArray[np.float64]
Level = tuple[Rows, Rows]


class Frontier(NamedTuple):
    """Nodes that pass activation on: by which shares (a method of ``Conductance``), their rows, and what all have.

    ``values`` is by node row, shape (node rows,).
    """

    kind: str
    rows: Rows
    values: Doubles


class Moved(NamedTuple):
    """What is passed on, by column, shape (arcs,) each: from, to, how much.

    Arcs with one target may be combined to one. Then ``most`` is the largest part, which came from ``origins``.
    """

    origins: Rows
    targets: Rows
    amounts: Doubles
    most: Doubles


Steps = Generator[Frontier, Moved, "Activation"]
"""Yields frontiers, is sent what they pass on, and returns where activation came to."""


class Trails(Protocol):
    """How each node was reached."""

    def of(self, rows: Rows) -> NDArray[np.int32]:
        """Return the ways to some nodes, shape (rows, longest way): the node first, its source last, then -1."""
        ...


class Activation(Struct, frozen=True):
    """Where activation came to: node rows, ascending, their activations, and how they were reached."""

    rows: Rows
    values: Doubles
    trails: Any  # Trails


class LevelTrails:
    """Ways by level: rows reached, ascending, and the rows that they were reached from."""

    def __init__(self, levels: list[Level]) -> None:
        self._levels = levels

    def of(self, rows: Rows) -> NDArray[np.int32]:
        """Return the ways to some nodes, from the last level back."""
        trails = np.full((len(rows), len(self._levels) + 1), NO_ROW, dtype=np.int32)
        trails[:, 0] = at = rows
        steps = np.zeros(len(rows), dtype=np.intp)
        for reached, origins in reversed(self._levels):
            place = np.minimum(np.searchsorted(reached, at), len(reached) - 1)
            came = reached[place] == at
            at = np.where(came, origins[place], at)
            steps += came
            trails[np.flatnonzero(came), steps[came]] = at[came]
        return trails


class KeptTrails:
    """Ways as they were found, by row."""

    def __init__(self, trails: dict[int, tuple[int, ...]]) -> None:
        self._trails = trails

    def of(self, rows: Rows) -> NDArray[np.int32]:
        """Return the ways to some nodes."""
        found = [self._trails[row][::-1] for row in rows.tolist()]
        trails = np.full((len(found), max(map(len, found), default=1)), NO_ROW, dtype=np.int32)
        for place, trail in enumerate(found):
            trails[place, : len(trail)] = trail
        return trails


def spread(
    frame: Frame,
    seeds: Rows,
    values: Doubles,
    rules: SpreadRules,
    now_us: int = 0,
    *,
    visible: Mask | None = None,
    wanted: int | None = None,
) -> Activation:
    """Let activation flow from seeds, through visible nodes only.

    Args:
        seeds: node rows, ascending, each once.
        values: activations of the seeds, same shape.
        now_us: when: what was recalled lately conducts better, what has faded worse.
        visible: which node rows may hold activation, shape (node rows,); None: every live one.
        wanted: so many of the most active nodes, the seeds not counted, must be right; the others may be left out, or
            have less than they would. None: all must be right.
    """
    seen = frame.live_rows() if visible is None else visible
    steps = spread_steps(frame, seeds, values, rules, visible=seen, wanted=wanted)
    return driven(steps, Conductance(frame, rules, now_us, seen))


def spread_steps(
    frame: Frame, seeds: Rows, values: Doubles, rules: SpreadRules, *, visible: Mask, wanted: int | None = None
) -> Steps:
    """Spread as ``spread`` does, along arcs that somebody else looks up."""
    seeds, values = seeds[visible[seeds]], values[visible[seeds]]
    flow = _Flow(frame.nodes.count, rules, seeds, values)
    if rules.mode == REFERENCE:
        return flow.best_first(frame.interner.ids)
    if rules.mode == PPR:
        return flow.page_rank()
    return flow.add_up() if rules.mode == SUM else flow.strongest(wanted)


def driven(steps: Steps, conductance: Conductance) -> Activation:
    """Return where activation comes to along the arcs of a Frame."""
    try:
        frontier = next(steps)
        while True:
            frontier = steps.send(passed_on(frontier, conductance))
    except StopIteration as done:
        found: Activation = done.value
        return found


def passed_on(frontier: Frontier, conductance: Conductance) -> Moved:
    """Return what nodes pass on along the arcs of a Frame."""
    origins, targets, shares = _SHARES[frontier.kind](conductance, frontier.rows)
    moved = frontier.values.take(origins)
    moved *= shares
    return Moved(origins, targets, moved, moved)


def combined(moved: Moved, *, adding: bool) -> Moved:
    """Return what is passed on with one arc to each target, ascending: the largest part, or ``adding``, the sum."""
    targets, group = np.unique(moved.targets, return_inverse=True)
    most = np.zeros(len(targets))
    np.maximum.at(most, group, moved.most)
    origins = np.full(len(targets), np.iinfo(np.int32).max, dtype=np.int32)
    largest = np.flatnonzero(moved.most == most[group])
    np.minimum.at(origins, group[largest], moved.origins[largest])
    amounts = np.bincount(group, moved.amounts, len(targets)).astype(np.float64, copy=False) if adding else most
    return Moved(origins, targets.astype(np.int32), amounts, most)


def strongest_chain(
    frame: Frame, start: int, end: int, rules: SpreadRules, hops: int, *, visible: Mask | None = None
) -> list[int] | None:
    """Return the rows of the chain of at most ``hops`` links, in any direction, with the greatest product of shares.

    Searched from both ends. A share is decay * strength, so that of equally strong chains the shortest is found.
    """
    seen = frame.live_rows() if visible is None else visible
    conductance = Conductance(frame, rules, 0, seen)
    sides = []
    for row, depth in ((start, hops - hops // 2), (end, hops // 2)):
        seeds = np.array([row], dtype=np.int32)
        flow = _Flow(frame.nodes.count, rules, seeds, np.ones(1))
        sides.append(driven(flow.reach(LINKS, depth, 0.0), conductance))
    rows, ours, theirs = np.intersect1d(sides[0].rows, sides[1].rows, assume_unique=True, return_indices=True)
    if not len(rows):
        return None
    best = int(np.argmax(sides[0].values[ours] * sides[1].values[theirs]))
    meeting = rows[best : best + 1].astype(np.int32)
    first, last = (side.trails.of(meeting)[0] for side in sides)
    return _without_loops([*first[first >= 0][::-1].tolist(), *last[last >= 0][1:].tolist()])


class _Flow:
    """Activation on its way: what each node has, and what arrives."""

    def __init__(self, total: int, rules: SpreadRules, seeds: Rows, values: Doubles) -> None:
        self._rules = rules
        self._seeds = seeds
        self._value = np.zeros(total)
        self._value[seeds] = values
        self._gain = np.zeros(total)
        self._came = np.empty(total, dtype=np.int32)
        self._levels: list[Level] = []

    def strongest(self, wanted: int | None) -> Steps:
        """Return the best product over paths."""
        rules = self._rules
        wanted = None if rules.feedback else wanted
        found = yield from self.reach(ONWARD, rules.max_depth, rules.min_activation, wanted)
        return (yield from self._fed_back(found))

    def reach(self, kind: str, depth: int, least: float, wanted: int | None = None) -> Steps:
        """Go on level by level to whatever gains, and might still be among the most active that are wanted."""
        frontier = self._seeds[(self._value[self._seeds] >= least) & (self._value[self._seeds] > 0)]
        reached = self._seeds
        for left in range(depth, 0, -1):
            if not len(frontier):
                break
            moved = yield Frontier(kind, frontier, self._value)
            frontier = self._improve(moved, least)
            if wanted is not None:
                reached = distinct(np.concatenate([reached, frontier]), len(self._value))
                frontier = self._promising(frontier, reached, wanted, left - 1)
        return self._activation()

    def _promising(self, frontier: Rows, reached: Rows, wanted: int, left: int) -> Rows:
        """Leave out nodes from which no more than the least of the wanted ones can come, over so many edges."""
        values = np.sort(self._value.take(np.setdiff1d(reached, self._seeds, assume_unique=True)))
        if not 0 < wanted <= len(values):
            return frontier if wanted else frontier[:0]
        most = share_max(self._rules)
        enough = self._value.take(frontier) * max(most, most**left) >= values[-wanted]
        return frontier.take(np.flatnonzero(enough))

    def add_up(self) -> Steps:
        """Return the sum over walks."""
        rules = self._rules
        frontier, wave = self._seeds, self._value.copy()
        is_new = self._value == 0
        for _ in range(rules.max_depth):
            frontier = frontier[wave[frontier] >= rules.min_activation]
            if not len(frontier):
                break
            moved = yield Frontier(ONWARD, frontier, wave)
            frontier, arriving = self._arriving(moved)
            enough = arriving >= rules.min_activation
            frontier, arriving = frontier[enough], arriving[enough]
            self._note_first(moved, frontier, is_new)
            wave[frontier] = arriving
            self._value[frontier] += arriving
        return (yield from self._fed_back(self._activation()))

    def page_rank(self) -> Steps:
        """Return the stationary distribution of the walker, all mass counted."""
        going_on = self._rules.decay
        start = self._value / max(self._value.sum(), 1e-300)
        wave, self._value = start.copy(), np.zeros(len(start))
        is_new = start == 0
        frontier = self._seeds[start[self._seeds] > 0]
        for _ in range(ROUNDS_MAX):
            stays = wave[frontier] < RESIDUAL
            self._value[frontier] += np.where(stays, 1.0, 1.0 - going_on) * wave[frontier]
            wave[frontier[stays]] = 0.0
            frontier = frontier[~stays]
            if not len(frontier):
                break
            moved = _scaled((yield Frontier(TRANSITIONS, frontier, wave)), going_on)
            lost = (
                going_on * wave[frontier].sum() - moved.amounts.sum()
            )  # of nodes without a way on: back to the sources
            wave[frontier] = 0.0
            reached, arriving = self._arriving(moved)
            self._note_first(moved, reached, is_new)
            wave[reached] = arriving
            if lost > RESIDUAL:
                wave[self._seeds] += lost * start[self._seeds]
                reached = distinct(np.concatenate([reached, self._seeds]), len(start))
            else:
                self._value[self._seeds] += max(lost, 0.0) * start[self._seeds]
            frontier = reached
        return self._activation()

    def best_first(self, names: list[str]) -> Steps:
        """Expand the most active node first, each once, ties by depth and id."""
        rules, value = self._rules, self._value
        trails: dict[int, tuple[int, ...]] = {row: (row,) for row in self._seeds.tolist()}
        heap = [(-value[row], 0, names[row], row, (row,)) for row in self._seeds.tolist()]
        heap.sort()
        expanded: set[int] = set()
        activation = np.zeros(len(value))
        while heap and len(expanded) < rules.max_nodes:
            negative, depth, _, row, trail = heappop(heap)
            if row in expanded:
                continue
            expanded.add(row)
            if depth >= rules.max_depth or -negative < rules.min_activation:
                continue
            activation[row] = -negative
            moved = yield Frontier(ONWARD, np.array([row], dtype=np.int32), activation)
            for target, gained in zip(moved.targets.tolist(), moved.amounts.tolist(), strict=True):
                if gained >= rules.min_activation and gained > value[target]:
                    value[target] = gained
                    trails[target] = (*trail, target)
                    if target not in expanded:
                        heappush(heap, (-gained, depth + 1, names[target], target, trails[target]))
        rows = np.flatnonzero(value).astype(np.int32)
        return (yield from self._fed_back(Activation(rows, value[rows], KeptTrails(trails))))

    def _fed_back(self, found: Activation) -> Steps:
        """Let what was activated, but for the seeds, activate what leads to it, damped more with every round."""
        rules = self._rules
        if not rules.feedback:
            return found
        before = found.trails
        self._levels = []
        damping = 1.0
        for _ in range(rules.feedback):
            damping *= rules.damping
            active = np.setdiff1d(np.flatnonzero(self._value).astype(np.int32), self._seeds)
            moved = _scaled((yield Frontier(BACK, active, self._value)), damping)
            self._improve(moved, rules.min_activation)
        rows = np.flatnonzero(self._value).astype(np.int32)
        return Activation(rows, self._value[rows], _Joined(before, LevelTrails(self._levels)))

    def _improve(self, moved: Moved, least: float) -> Rows:
        """Let nodes have the most that arrives, where that is more than they have; return these nodes."""
        value, most = self._value, moved.most
        more = np.flatnonzero((most >= least) & (most > value.take(moved.targets)))
        origins, targets, most = moved.origins.take(more), moved.targets.take(more).astype(np.intp), most.take(more)
        np.maximum.at(self._gain, targets, most)
        reached = self._note(origins, targets, most == self._gain.take(targets))
        value[reached] = self._gain[reached]
        self._gain[reached] = 0.0
        return reached

    def _arriving(self, moved: Moved) -> tuple[Rows, Doubles]:
        """Add up what arrives at each node."""
        np.add.at(self._gain, moved.targets.astype(np.intp), moved.amounts)
        reached = distinct(moved.targets, len(self._gain))
        arriving = self._gain[reached]
        self._gain[reached] = 0.0
        return reached, arriving

    def _note_first(self, moved: Moved, reached: Rows, is_new: Mask) -> None:
        """Note, for nodes that are reached for the first time, where most came from."""
        first = reached[is_new[reached]]
        is_new[first] = False
        wanted = np.zeros(len(is_new), dtype=np.bool_)
        wanted[first] = True
        mine = wanted[moved.targets]
        origins, targets, most = moved.origins[mine], moved.targets[mine].astype(np.intp), moved.most[mine]
        np.maximum.at(self._gain, targets, most)
        self._note(origins, targets, most == self._gain[targets])
        self._gain[first] = 0.0

    def _note(self, origins: Rows, targets: NDArray[np.intp], most: Mask) -> Rows:
        """Note a level: each node and where most came from, the lowest row of several; return the nodes."""
        places = np.flatnonzero(most)
        targets, origins = targets.take(places), origins.take(places)
        self._came[targets] = len(self._came)
        np.minimum.at(self._came, targets, origins)
        reached = distinct(targets.astype(np.int32), len(self._came))
        if len(reached):
            self._levels.append((reached, self._came[reached]))
        return reached

    def _activation(self) -> Activation:
        rows = np.flatnonzero(self._value).astype(np.int32)
        return Activation(rows, self._value[rows], LevelTrails(self._levels))


class _Joined:
    """Ways that go on where others end."""

    def __init__(self, before: Trails, after: Trails) -> None:
        self._before = before
        self._after = after

    def of(self, rows: Rows) -> NDArray[np.int32]:
        """Return the ways to some nodes."""
        late = self._after.of(rows)
        lengths = (late >= 0).sum(axis=1)
        early = self._before.of(late[np.arange(len(rows)), lengths - 1])
        trails = np.full((len(rows), late.shape[1] + early.shape[1] - 1), NO_ROW, dtype=np.int32)
        trails[:, : late.shape[1]] = late
        for place, length in enumerate(lengths.tolist()):
            trails[place, length : length + early.shape[1] - 1] = early[place, 1:]
        return trails


def _scaled(moved: Moved, factor: float) -> Moved:
    amounts = factor * moved.amounts
    return moved._replace(amounts=amounts, most=amounts if moved.most is moved.amounts else factor * moved.most)


def _without_loops(rows: list[int]) -> list[int]:
    """Leave out what leads back to a row that was there before."""
    kept: list[int] = []
    for row in rows:
        if row in kept:
            del kept[kept.index(row) + 1 :]
        else:
            kept.append(row)
    return kept


_SHARES: Final[dict[str, Callable[[Conductance, Rows], Shares]]] = {
    ONWARD: Conductance.onward,
    TRANSITIONS: Conductance.transitions,
    BACK: Conductance.back,
    LINKS: Conductance.links,
}
