"""Property tests take the time they need and come out the same in every run; Ctrl-C means the same in every run."""

import signal

from hypothesis import settings

from tests.ray_cluster import ray_cluster

__all__ = ["ray_cluster"]  # a fixture of every folder

settings.register_profile("steady", deadline=None, derandomize=True, database=None)
settings.load_profile("steady")

# A shell without job control starts what runs in the background with SIGINT ignored, and programs that the tests start
# and interrupt would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Let tests on Ray come last: it is started once, and no other test forks a process that has its threads."""
    items.sort(key=lambda item: item.get_closest_marker("ray") is not None)
