from tests.memory.test_context import *  # noqa: F403 - the same tests
