"""One Ray cluster for all tests of a run, those of the documentation too."""

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
def ray_cluster(tmp_path_factory):
    from memorygraph.actors.fleet.cluster import local_cluster

    before = {name: os.environ.get(name) for name in _SET}
    for name in _LEFT_OUT:
        os.environ.pop(name, None)
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    with ExitStack() as running:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of Ray's own
                running.enter_context(local_cluster(tmp_path_factory.mktemp("ray") / "token"))
            yield
        finally:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                running.close()
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value
