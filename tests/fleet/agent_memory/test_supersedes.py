from tests.memory.test_supersedes import *  # noqa: F403 - the same tests
