from tests.memory.test_timeline import *  # noqa: F403 - the same tests

del test_buckets_are_those_of_the_calendar  # noqa: F821 - many examples of one query
