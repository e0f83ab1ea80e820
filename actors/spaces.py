"""Which vector space vectors belong to: the memory's one, or the first that is declared."""

from __future__ import annotations

import msgspec

from memorygraph.events.errors import EmbedderMismatch, EmbeddingDimensionError
from memorygraph.events.records import SpaceDeclared


def fitting_space(current: SpaceDeclared | None, given: SpaceDeclared | None, dims: set[int]) -> SpaceDeclared:
    """Return the space of vectors of these dimensions, made by the embedder of ``given`` (None: it is not known).

    Args:
        current: the memory's space; None: it has none yet, and gets the one returned.

    Raises:
        EmbeddingDimensionError: vectors of another dimension.
        EmbedderMismatch: vectors of another embedder.
    """
    if current is None:
        current = msgspec.structs.replace(given or _external(next(iter(dims))), space=1)
    if dims != {current.dim}:
        found = min(dims - {current.dim})
        raise EmbeddingDimensionError(
            f"a vector has {found} dimensions; this memory holds vectors of {current.dim}",
            expected=current.dim,
            found=found,
        )
    if given is not None and (given.name, given.version, given.dim) != (current.name, current.version, current.dim):
        raise EmbedderMismatch(
            f"the vectors come from {_title(given)}; this memory holds vectors of {_title(current)}. "
            "Open it with that embedder, or start a new memory",
            expected=_title(current),
            found=_title(given),
        )
    return current


def _external(dim: int) -> SpaceDeclared:
    """The space of vectors that come without an embedder."""
    return SpaceDeclared(space=1, name="external", dim=dim)


def _title(space: SpaceDeclared) -> str:
    version = f" {space.version}" if space.version else ""
    return f"{space.name}{version} ({space.dim} dimensions)"
