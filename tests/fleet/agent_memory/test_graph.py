from tests.memory.test_graph import *  # noqa: F403 - the same tests
