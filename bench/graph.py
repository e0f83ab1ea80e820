"""``python -m bench.graph``: measure the graph, beside the older package where ``make bench-peer`` has installed it.

Options, goals and exit code are those of ``python -m bench.memory``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from bench.graph_files import files
from bench.graph_retention import retention
from bench.graph_similarity import similarity
from bench.graph_walks import SECTIONS as WALKS
from bench.memory import run
from bench.sections import Section

SECTIONS: Final[dict[str, Section]] = {**WALKS, "similarity": similarity, "retention": retention, "files": files}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sections, print what was found, and return the exit code."""
    return run("graph", __doc__, SECTIONS, arguments)


if __name__ == "__main__":
    sys.exit(main())
