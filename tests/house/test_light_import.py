"""``import memorygraph`` loads nothing that an embedded memory can do without."""

import json
import subprocess
import sys

HEAVY = frozenset({"aiohttp", "dateutil", "faiss", "markdown_it", "ray", "rich", "torch", "typer"})
REPORT = "; import json, sys; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"


def loaded_by(statement: str) -> set[str]:
    """Top-level names that a fresh interpreter has loaded after a statement."""
    done = subprocess.run(
        [sys.executable, "-c", statement + REPORT], capture_output=True, check=True, text=True, timeout=60
    )
    return set(json.loads(done.stdout))


def test_the_package_is_light() -> None:
    assert loaded_by("import memorygraph") & HEAVY == set()


def test_the_memory_class_is_light() -> None:
    assert loaded_by("from memorygraph import AgentMemory") & HEAVY == set()


def test_a_heavy_import_is_seen() -> None:
    assert loaded_by("import memorygraph, rich") & HEAVY == {"rich"}
