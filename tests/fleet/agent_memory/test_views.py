from tests.memory.test_views import *  # noqa: F403 - the same tests
