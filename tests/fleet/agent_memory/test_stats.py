from tests.memory.test_stats import *  # noqa: F403 - the same tests

del test_the_log_is_what_lies_on_the_disk  # noqa: F821 - it looks into the folder
