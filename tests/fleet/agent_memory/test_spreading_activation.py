from tests.memory.test_spreading_activation import *  # noqa: F403 - the same tests
