from tests.memory.test_query import *  # noqa: F403 - the same tests
