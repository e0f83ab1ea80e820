from tests.memory.test_timeline import *  # noqa: F403 - the same tests
