"""The command ``memorygraph``: look into a memory and change it from a shell.

``options.py`` holds what several commands share, ``writes.py``, ``reads.py`` and ``records.py`` the commands,
``views.py`` what they print, and ``program.py`` puts them together and turns errors into one line.
"""

from memorygraph.cli.program import app, main

__all__ = ["app", "main"]
