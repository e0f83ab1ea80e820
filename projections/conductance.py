"""How activation passes along edges: by what share of a node's activation its neighbours gain.

The share of an arc u -> v is decay * strength(u, v) * factor(v). The strength is made of the weights of all edges from
u to v; the factor is v's effective importance, and more for what was recalled lately.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from memorygraph.projections.arcs import BOTH, IN, OUT, Arcs, Mask, Rows, arcs_at, distinct, strengths, types_mask
from memorygraph.projections.frame import Frame
from memorygraph.projections.importance import effective_importance

Doubles = NDArray[np.float64]

MAX: Final = "max"
SUM: Final = "sum"
MEAN: Final = "mean"
PPR: Final = "ppr"
REFERENCE: Final = "reference"
MODES: Final = (MAX, SUM, PPR, REFERENCE)
AGGREGATES: Final = (MAX, SUM, MEAN)
REVERSED: Final = {OUT: IN, IN: OUT, BOTH: BOTH}

BOOST: Final = 0.5
"""What was recalled this moment conducts by so much better."""

BOOST_S: Final = 3600.0
"""After so many seconds the boost is down to 1/e of it."""

_US: Final = 1e6


class SpreadRules(Struct, frozen=True, kw_only=True):
    """How activation spreads; see ``SpreadingConfig``. Edge types are codes; ``include`` None: all of them."""

    max_depth: int = 4
    max_nodes: int = 500
    decay: float = 0.6
    min_activation: float = 0.01
    edge_weights: bool = True
    edge_confidence: bool = True
    importance: bool = True
    temporal_boost: bool = True
    fan: bool = False
    aggregate: str = MAX
    feedback: int = 0
    damping: float = 0.8
    include: list[int] | None = None
    exclude: list[int] = []
    mode: str = MAX
    direction: str = OUT


class Shares(NamedTuple):
    """Arcs by column, shape (arcs,) each: from, to, and the share that is passed on."""

    origins: Rows
    targets: Rows
    shares: Doubles


def share_max(rules: SpreadRules) -> float:
    """Return what no share is above."""
    return rules.decay * (1.0 + BOOST if rules.temporal_boost else 1.0)


class Conductance:
    """The shares of a Frame's arcs under some rules at a time.

    Args:
        visible: which node rows may hold activation, shape (node rows,); edges to others are as if they were not there.
    """

    def __init__(self, frame: Frame, rules: SpreadRules, now_us: int, visible: Mask) -> None:
        self._frame = frame
        self._rules = rules
        self._now_us = now_us
        self._visible = visible
        self._types = types_mask(rules.include, rules.exclude)
        self._factors: Doubles = np.ones(frame.nodes.count)
        self._is_known = np.full(frame.nodes.count, not (rules.importance or rules.temporal_boost))

    def onward(self, nodes: Rows) -> Shares:
        """Return the shares of some nodes' arcs."""
        origins, targets, strength = self._strengths(self._arcs(nodes, self._rules.direction))
        return Shares(origins, targets, self._rules.decay * strength * self._factor(targets))

    def transitions(self, nodes: Rows) -> Shares:
        """Return the same in proportion: the shares of a node's arcs come to 1."""
        origins, targets, strength = self._strengths(self._arcs(nodes, self._rules.direction), grouped=True)
        return _proportional(Shares(origins, targets, strength * self._factor(targets)))

    def back(self, nodes: Rows) -> Shares:
        """Return what flows back from some nodes against their edges: decay * strength."""
        arcs = self._arcs(nodes, REVERSED[self._rules.direction])
        strength = strengths(self._frame, arcs.edges, confidence=self._rules.edge_confidence)
        return Shares(arcs.origins, arcs.targets, self._rules.decay * strength)

    def links(self, nodes: Rows) -> Shares:
        """Return decay * strength of some nodes' edges in both directions."""
        origins, targets, strength = self._strengths(self._arcs(nodes, BOTH))
        return Shares(origins, targets, self._rules.decay * strength)

    def _arcs(self, nodes: Rows, direction: str) -> Arcs:
        edges, origins, targets = arcs_at(self._frame, nodes, direction, self._types)
        seen = self._visible.take(targets)
        if seen.all():
            return Arcs(edges, origins, targets)
        places = np.flatnonzero(seen)
        return Arcs(edges.take(places), origins.take(places), targets.take(places))

    def _strengths(self, arcs: Arcs, *, grouped: bool = False) -> Shares:
        rules = self._rules
        edges, origins, targets = arcs
        if not rules.edge_weights and not grouped and not rules.fan and rules.mode != SUM:
            return Shares(origins, targets, np.ones(len(edges)))
        found = Shares(origins, targets, strengths(self._frame, edges, confidence=rules.edge_confidence))
        if grouped or rules.fan or rules.mode == SUM or rules.aggregate != MAX:
            found = _grouped(found, rules.aggregate, self._frame.nodes.count)
        if not rules.edge_weights:
            found = found._replace(shares=np.ones(len(found.shares)))
        return _proportional(found) if rules.fan and not grouped else found

    def _factor(self, targets: Rows) -> Doubles:
        """Look up what nodes count; each is computed once."""
        known = self._is_known.take(targets)
        if not known.all():
            rows = distinct(targets.take(np.flatnonzero(~known)), len(self._factors))
            factors: Doubles = np.ones(len(rows))
            if self._rules.importance:
                factors = effective_importance(self._frame, rows, self._now_us)
            if self._rules.temporal_boost:
                age_s = np.maximum(self._now_us - self._frame.nodes.take("accessed_us", rows), 0) / _US
                factors = factors * (1.0 + BOOST * np.exp(-age_s / BOOST_S))
            self._factors[rows] = factors
            self._is_known[rows] = True
        return self._factors.take(targets)


def _grouped(arcs: Shares, aggregate: str, total: int) -> Shares:
    """Make one arc of parallel ones: the strongest, their mean, or their sum up to 1."""
    keys, group = np.unique(arcs.origins.astype(np.int64) * total + arcs.targets, return_inverse=True)
    shares: Doubles = np.zeros(len(keys))
    if aggregate == MAX:
        np.maximum.at(shares, group, arcs.shares)
    else:
        np.add.at(shares, group, arcs.shares)
        counts = np.bincount(group, minlength=len(keys))
        shares = np.minimum(shares, 1.0) if aggregate == SUM else shares / np.maximum(counts, 1)
    return Shares((keys // max(total, 1)).astype(np.int32), (keys % max(total, 1)).astype(np.int32), shares)


def _proportional(arcs: Shares) -> Shares:
    """Divide the share of each arc by those of all arcs of its origin."""
    _, group = np.unique(arcs.origins, return_inverse=True)
    totals = np.bincount(group, arcs.shares)[group] if len(group) else arcs.shares
    return arcs._replace(shares=np.divide(arcs.shares, totals, out=np.zeros(len(totals)), where=totals > 0))
