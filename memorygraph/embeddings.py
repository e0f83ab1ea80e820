"""Embedders: what turns text into vectors. The default needs no model and no network."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from memorygraph import checks
from memorygraph.events.errors import EmbedderMismatch, EmbeddingDimensionError, InputError
from memorygraph.events.records import SpaceDeclared
from memorygraph.projections.stopwords import ENGLISH

Vector = NDArray[np.float32]


@runtime_checkable
class Embedder(Protocol):
    """A callable from text to a vector, shape (dim,), float32.

    It may also have ``name`` and ``version`` (texts that, with ``dim``, say which vector space it makes; a memory
    refuses vectors of another one), ``normalised`` (bool) and ``embed_batch(texts)``, shape (len(texts), dim).
    """

    dim: int

    def __call__(self, text: str) -> Vector:
        """Return the vector of a text."""
        ...


class HashingEmbedder:
    """Feature hashing of words (Weinberger et al., 2009): deterministic, without a model, to link alike texts.

    English function words are left out, unless there is nothing else. Each n-gram of words adds +1 or -1 to one of
    ``dim`` buckets. It knows no meaning, so recall by text does not lean on it (BM25 answers); similar wording gives
    similar vectors.

    Args:
        dim: length of the vectors.
        ngram: count n-grams of 1..ngram words.
        normalize: scale vectors to length 1.
    """

    name = "hashing"

    def __init__(self, dim: int = 256, ngram: int = 1, normalize: bool = True) -> None:
        self.dim = checks.count("dim", dim, 1, 65_536)
        self.ngram = checks.count("ngram", ngram, 1, 8)
        self.normalised = bool(normalize)
        self.version = f"1 ngram={self.ngram}" + ("" if self.normalised else " raw")

    def __call__(self, text: str) -> Vector:
        """Return the vector of a text, shape (dim,)."""
        found = _WORD.findall(text.casefold())
        words = [word for word in found if word not in ENGLISH] or found
        hashes = [
            _hash(" ".join(words[start : start + size]))
            for size in range(1, self.ngram + 1)
            for start in range(len(words) - size + 1)
        ]
        signs = [1.0 if value >> 63 else -1.0 for value in hashes]
        vector = np.bincount([value % self.dim for value in hashes], signs, self.dim).astype(np.float32)
        length = math.sqrt(vector @ vector)
        return vector / np.float32(length) if self.normalised and length > 0 else vector

    def embed_batch(self, texts: Sequence[str]) -> Vector:
        """Return the vectors of texts, shape (len(texts), dim)."""
        return np.stack([self(text) for text in texts]) if texts else np.zeros((0, self.dim), dtype=np.float32)


class CallableEmbedder:
    """An embedder out of any function from text to a sequence of ``dim`` numbers.

    Args:
        fn: the function.
        dim: length of its vectors.
        name: what the vector space is called; give each model its own, so that a memory can tell them apart.
        version: of the model.
    """

    normalised = False

    def __init__(self, fn: Callable[[str], Any], dim: int, *, name: str = "callable", version: str = "") -> None:
        if not callable(fn):
            raise InputError(f"CallableEmbedder needs a function from text to a vector, not {type(fn).__name__}")
        self._fn = fn
        self.dim = checks.count("dim", dim, 1, 65_536)
        self.name = checks.identifier("name", name)
        self.version = checks.note("version", version)

    def __call__(self, text: str) -> Vector:
        """Return the vector of a text, shape (dim,).

        Raises:
            EmbeddingDimensionError: the function gave a vector of another length.
            InvalidVectorError: the function gave something that is not a finite vector.
        """
        vector = np.frombuffer(checks.vector(self._fn(text)), dtype="<f4")
        if len(vector) != self.dim:
            raise EmbeddingDimensionError(
                f"the embedder {self.name!r} gave {len(vector)} dimensions where it promises {self.dim}",
                expected=self.dim,
                found=len(vector),
            )
        return vector


def embed_batch(embedder: Embedder, texts: Sequence[str]) -> list[bytes]:
    """Return the vectors of texts as events carry them, by the embedder's own ``embed_batch`` where it has one.

    Raises:
        EmbeddingDimensionError: a vector is not of the embedder's dimension.
        InvalidVectorError: a vector is not finite.
    """
    batch = getattr(embedder, "embed_batch", None)
    vectors = batch(texts) if batch is not None else [embedder(text) for text in texts]
    made = [checks.vector(vector) for vector in vectors]
    for vector in made:
        if len(vector) != 4 * embedder.dim:
            raise EmbeddingDimensionError(
                f"the embedder gave {len(vector) // 4} dimensions where it promises {embedder.dim}",
                expected=embedder.dim,
                found=len(vector) // 4,
            )
    if len(made) != len(texts):
        raise InputError(f"the embedder gave {len(made)} vectors for {len(texts)} texts")
    return made


def space_of(embedder: Embedder) -> SpaceDeclared:
    """Return the vector space that an embedder makes.

    Raises:
        InputError: it is not an embedder.
    """
    if not isinstance(embedder, Embedder):
        raise InputError(
            f"an embedder is a callable with a dim, not {checks.shown(embedder)}; "
            "wrap a function in CallableEmbedder(fn, dim)"
        )
    return SpaceDeclared(
        space=1,
        name=checks.identifier("an embedder's name", getattr(embedder, "name", type(embedder).__name__)),
        version=checks.note("an embedder's version", getattr(embedder, "version", "")),
        dim=checks.count("an embedder's dim", embedder.dim, 1, 65_536),
        normalised=bool(getattr(embedder, "normalised", False)),
    )


def fitting_embedder(recorded: SpaceDeclared | None, given: Embedder | None, dim: int) -> Embedder | None:
    """Return the embedder to use with a memory whose vectors are of ``recorded`` (None: it has none yet).

    Raises:
        EmbedderMismatch: one was given that makes other vectors.
    """
    if recorded is None:
        return given if given is not None else HashingEmbedder(dim)
    if given is None:
        made = HashingEmbedder(recorded.dim)
        return made if (recorded.name, recorded.version) == (made.name, made.version) else None
    mine = space_of(given)
    if (mine.name, mine.version, mine.dim) != (recorded.name, recorded.version, recorded.dim):
        raise EmbedderMismatch(
            f"this memory holds vectors of {recorded.name!r} {recorded.version} ({recorded.dim} dimensions), not of "
            f"{mine.name!r} {mine.version} ({mine.dim}); open it with that embedder, or start a new memory",
            expected=recorded.name,
            found=mine.name,
        )
    return given


def cosine(one: Any, other: Any) -> float:
    """Return the cosine of two vectors, -1..1; 0 if one of them is zero."""
    a, b = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.clip(a @ b / length, -1.0, 1.0)) if length > 0 else 0.0


_WORD = re.compile(r"\w+")


@lru_cache(maxsize=65_536)
def _hash(words: str) -> int:
    return int.from_bytes(hashlib.blake2b(words.encode(errors="replace"), digest_size=8).digest(), "little")
