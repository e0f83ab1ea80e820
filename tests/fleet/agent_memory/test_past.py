from tests.memory.test_past import *  # noqa: F403 - the same tests

del test_subscribe_follows_another_process  # noqa: F821 - it opens the folder itself
