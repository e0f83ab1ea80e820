from tests.memory.test_context import *  # noqa: F403 - the same tests

del test_a_block_is_never_over_its_budget  # noqa: F821 - many examples of what is done on this side
