"""How much of a memory is left: forgetting curves over the columns of a Frame.

Retention R is in 0..1, t is the age in seconds since the last access (or the recording), S the stability in seconds:
S = decay_rate (1 + 0.5 accesses) hours.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from memorygraph.events.types import DecayFunction
from memorygraph.projections.frame import Frame

HOUR_S: Final = 3600.0
POWER_ALPHA: Final = 0.5  # Wixted & Ebbesen (1991): R = (1 + b t)^-alpha, here with t in units of S
POWER_B: Final = 1.0

_STABILITY_MIN_S: Final = 1e-9
_BLOCK_ROWS: Final = 1 << 15  # whose numbers stay in the processor's cache

Doubles = NDArray[np.float64]


def stability_s(decay_rate: Any, access_count: Any) -> Any:
    """Return S = decay_rate (1 + 0.5 accesses) hours, in seconds."""
    stability = np.asarray(access_count, dtype=np.float64) * (0.5 * HOUR_S)
    stability += HOUR_S
    stability *= np.asarray(decay_rate, dtype=np.float64)
    return stability


def retention(function: DecayFunction, age_s: Any, stability: Any) -> Any:
    """Return R for ages and stabilities in seconds (numbers or arrays of one shape).

    Ebbinghaus (1885): e^(-t/S). Power law: (1 + b t/S)^-alpha. Hyperbolic: 1/(1 + t/S). Exponential: 2^(-t/S), so that
    S is the half-life. Stepped: e^(-floor(t/S)), which falls only at whole multiples of S. No decay: 1.
    """
    return _left(function, -np.maximum(age_s, 0.0) / np.maximum(stability, _STABILITY_MIN_S))


def _ahead_s(accessed_us: NDArray[np.int64], now_us: int) -> Doubles:
    """Return -t: what a clock that was set back has recorded of times to come is no age, either."""
    return np.minimum(accessed_us - now_us, 0) * 1e-6


def _left(function: DecayFunction, ahead: Any) -> Any:
    """Return R where ``ahead`` is -t/S."""
    if function is DecayFunction.POWER_LAW:
        return (1.0 - POWER_B * ahead) ** -POWER_ALPHA
    if function is DecayFunction.HYPERBOLIC:
        return 1.0 / (1.0 - ahead)
    if function is DecayFunction.EXPONENTIAL:
        return 2.0**ahead
    if function is DecayFunction.STEPPED:
        return np.exp(np.ceil(ahead))
    if function is DecayFunction.NO_DECAY:
        return np.ones_like(ahead)
    return np.exp(ahead)


def retention_now(frame: Frame, now_us: int, rows: NDArray[np.int32] | None = None) -> Doubles:
    """Return R of some node rows (None: of every one) at a time in microseconds, shape (rows,)."""
    nodes = frame.nodes
    take = nodes.column if rows is None else partial(nodes.take, rows=rows)
    columns = [take(name) for name in ("accessed_us", "decay_rate", "access_count", "decay_function")]
    result = np.empty(len(columns[0]), dtype=np.float64)
    for first in range(0, len(result), _BLOCK_ROWS):
        mine = slice(first, first + _BLOCK_ROWS)
        accessed_us, decay_rate, access_count, codes = (column[mine] for column in columns)
        ahead = _ahead_s(accessed_us, now_us)
        stability = stability_s(decay_rate, access_count if access_count.any() else 0)  # most were never recalled
        ahead /= np.maximum(stability, _STABILITY_MIN_S, out=stability)
        block = result[mine]
        if bool((codes == codes[0]).all()):  # nearly always
            block[:] = _left(DecayFunction.from_code(codes[0]), ahead)
            continue
        for code in np.unique(codes).tolist():
            same = codes == code
            block[same] = _left(DecayFunction.from_code(code), ahead[same])
    return result
