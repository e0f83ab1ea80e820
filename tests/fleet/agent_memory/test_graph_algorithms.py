from tests.memory.test_graph_algorithms import *  # noqa: F403 - the same tests
