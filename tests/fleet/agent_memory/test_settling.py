from tests.memory.test_settling import *  # noqa: F403 - the same tests
