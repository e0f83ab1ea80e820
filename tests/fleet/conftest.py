"""A fleet of two hosts on the Ray cluster of the run."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def ray_fleet(request, tmp_path_factory):
    from memorygraph.actors.fleet.cluster import Fleet
    from tests.fleet.ray_world import OutsideShell, OutsideStores

    request.getfixturevalue("ray_cluster")
    stores = OutsideStores(tmp_path_factory.mktemp("memories"))
    with Fleet(stores, namespace="tests", shell=OutsideShell) as fleet:
        fleet.start("one", "two")
        yield fleet
