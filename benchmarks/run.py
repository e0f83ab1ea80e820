"""``python benchmarks/run.py 1000 10000``: print a table of how fast memorygraph is here, and write BENCHMARKS.md."""

import sys

from memorygraph.benchmark import main

if __name__ == "__main__":
    sys.exit(main())
