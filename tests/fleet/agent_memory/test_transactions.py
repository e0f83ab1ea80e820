from tests.memory.test_transactions import *  # noqa: F403 - the same tests

del test_the_machine_passes_on_the_mutants_seeds  # noqa: F821 - of the engine's own mutants
