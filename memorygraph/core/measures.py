"""``NodeMeasures``: what can be computed of a node: activation, what is left of it, and how near it is to another."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from memorygraph import checks
from memorygraph.events.errors import EmbeddingDimensionError
from memorygraph.events.types import DecayFunction
from memorygraph.projections.base_level import base_level
from memorygraph.projections.importance import state_factor
from memorygraph.projections.retention import retention, stability_s

if TYPE_CHECKING:
    from memorygraph.home import Home
    from memorygraph.projections.frame import NodeState

EMOTION: Final = 0.5
"""What a full emotional valence at full confidence adds to the activation: alpha of the specification."""

METRICS: Final = ("cosine", "euclidean", "dot")
_US: Final = 1e6


class NodeMeasures:
    """The part of ``MemoryNode`` that computes and changes nothing. Times are seconds, points in time Unix seconds."""

    __slots__ = ()

    _home: Home | None
    _now: Any
    embedding: Any

    def activation_score(self, time_now: float | None = None) -> float:
        """Return ACT-R's activation at a time (default: now): A = ln(sum of t^-0.5) + 0.5 * valence * confidence.

        t are the seconds, at least 1, since it was recorded and since each recall; of recalls before the last 128 an
        approximation counts (Petrov, 2006; see ``projections/base_level.py``). A memory of sad tone is less active than
        a neutral one: the valence keeps its sign.
        """
        state: NodeState = self._now()
        now_us = self._clock_us() if time_now is None else round(_finite("time_now", time_now) * _US)
        level = base_level(state.created_us, state.access_times_us, state.access_count, now_us)
        return level + EMOTION * state.emotional_valence * state.confidence

    def retention(self, elapsed_seconds: float | None = None) -> float:
        """Return how much is left of it, 0..1, after some seconds (default: now, since its last access).

        The curve is its ``decay_function``, the stability ``decay_rate`` (1 + 0.5 accesses) hours; see
        ``projections/retention.py`` for the formulas.
        """
        state: NodeState = self._now()
        if elapsed_seconds is None:
            elapsed_seconds = self.recency_seconds
        stability = stability_s(state.decay_rate, state.access_count)
        curve = DecayFunction.from_code(state.decay_function)
        return float(retention(curve, _finite("elapsed_seconds", elapsed_seconds), stability))

    def effective_importance(self) -> float:
        """Return importance * retention * factor of its state (labile 0.6 ... consolidated 1, archived 0.4), 0..1."""
        state: NodeState = self._now()
        return state.importance * self.retention() * state_factor(state.consolidation_state)

    @property
    def age_seconds(self) -> float:
        """Seconds since it was recorded."""
        state: NodeState = self._now()
        return max(0.0, (self._clock_us() - state.created_us) / _US)

    @property
    def recency_seconds(self) -> float:
        """Seconds since it was last recalled, or recorded."""
        state: NodeState = self._now()
        return max(0.0, (self._clock_us() - state.accessed_us) / _US)

    def cosine_similarity(self, other: NodeMeasures) -> float:
        """Return the cosine of the two vectors, -1..1; 0 if one is missing or zero."""
        pair = self._vectors(other)
        if pair is None:
            return 0.0
        one, two = pair
        lengths = float(np.linalg.norm(one) * np.linalg.norm(two))
        return min(1.0, max(-1.0, float(one @ two) / lengths)) if lengths else 0.0

    def embedding_distance(self, other: NodeMeasures, metric: str = "cosine") -> float:
        """Return how far the two vectors are apart; infinite if one is missing.

        Args:
            metric: "cosine" (1 - cosine), "euclidean", or "dot" (minus the dot product).

        Raises:
            InputError: there is no such metric.
            EmbeddingDimensionError: the vectors differ in length.
        """
        checks.one_of("metric", metric, METRICS)
        pair = self._vectors(other)
        if pair is None:
            return math.inf
        one, two = pair
        if metric == "euclidean":
            return float(np.linalg.norm(one - two))
        return 1.0 - self.cosine_similarity(other) if metric == "cosine" else -float(one @ two)

    def _vectors(self, other: NodeMeasures) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        one, two = self.embedding, other.embedding
        if one is None or two is None:
            return None
        if one.shape != two.shape:
            raise EmbeddingDimensionError(
                f"the vectors have {len(one)} and {len(two)} dimensions", expected=len(one), found=len(two)
            )
        return one.astype(np.float64), two.astype(np.float64)

    def _clock_us(self) -> int:
        return time.time_ns() // 1000 if self._home is None else self._home.clock.now_us()


def _finite(name: str, given: float) -> float:
    return checks.number(name, given, -1e15, 1e15)
