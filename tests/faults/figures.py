"""How much a fault test does: a short run in ``make test``, the full figure in ``make test-faults``."""

from __future__ import annotations

import os

FULL = os.environ.get("FAULTS") == "full"


def figure(short: int, full: int) -> int:
    """Give the number of rounds, seeds or cases for this run."""
    return full if FULL else short
