from tests.memory.test_change import *  # noqa: F403 - the same tests
