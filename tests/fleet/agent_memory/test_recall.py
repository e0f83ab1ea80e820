from tests.memory.test_recall import *  # noqa: F403 - the same tests
