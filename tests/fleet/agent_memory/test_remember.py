from tests.memory.test_remember import *  # noqa: F403 - the same tests

del test_documented_defaults  # noqa: F821 - it reads a signature
