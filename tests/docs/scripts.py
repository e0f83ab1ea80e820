"""The programs that make parts of the documentation, loaded from where they are."""

import importlib.util
from types import ModuleType

from tests.docs.pages import ROOT


def loaded(path: str) -> ModuleType:
    """Run a program of docs/, given by its path below the root, as a module."""
    spec = importlib.util.spec_from_file_location(path.rpartition("/")[2].removesuffix(".py"), ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
