"""One Ray cluster for all tests of a run, with a fleet of two hosts."""

from __future__ import annotations

import os
import warnings
from contextlib import ExitStack
from pathlib import Path

import pytest

# Ray starts many Python processes that are not ours: they are not measured, and coverage must not hold them up.
_LEFT_OUT = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
_SET = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "RAY_USAGE_STATS_ENABLED", "PYTHONPATH", *_LEFT_OUT)


@pytest.fixture(scope="session")
def ray_fleet(tmp_path_factory):
    from memorygraph.actors.fleet.cluster import Fleet, local_cluster
    from tests.fleet.ray_world import OutsideShell, OutsideStores

    root = tmp_path_factory.mktemp("ray")
    before = {name: os.environ.get(name) for name in _SET}
    for name in _LEFT_OUT:
        os.environ.pop(name, None)
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    with ExitStack() as running:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of Ray's own
                running.enter_context(local_cluster(root / "token"))
                fleet = running.enter_context(Fleet(OutsideStores(root / "memories"), shell=OutsideShell))
                fleet.start("one", "two")
            yield fleet
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                running.close()
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
