from tests.memory.test_transactions import *  # noqa: F403 - the same tests
