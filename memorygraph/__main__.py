"""``python -m memorygraph``: the same as the command ``memorygraph``."""

from memorygraph.cli import main

if __name__ == "__main__":
    main()
