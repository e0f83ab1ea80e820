import math
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memorygraph import AgentMemory, CallableEmbedder, Embedder, HashingEmbedder
from memorygraph.core.types import EmbeddingDimensionError, InputError, InvalidVectorError
from memorygraph.embeddings import cosine, embed_batch, space_of
from tests.memory.helpers import fingerprint, meaningful_embedder

TEXTS = ["", "Leyla lives in Istanbul", "LEYLA lives, in: istanbul!", "東京 タワー", "a\ud800b", "x " * 1000]


@given(st.text())
def test_the_hashing_embedder_is_deterministic_and_of_length_one(text):
    vector = HashingEmbedder(dim=64)(text)
    assert (vector.shape, vector.dtype) == ((64,), np.float32)
    assert np.array_equal(vector, HashingEmbedder(dim=64)(text))
    length = float(np.linalg.norm(vector))
    assert length == pytest.approx(1, abs=1e-6) or length == 0
    assert np.array_equal(vector, HashingEmbedder(dim=64)(text.casefold()))


def test_the_hashing_embedder_is_the_same_in_every_process():
    script = (
        "from memorygraph import HashingEmbedder\n"
        "for ngram in (1, 2):\n"
        "    e = HashingEmbedder(ngram=ngram)\n"
        "    print([e(t).tobytes().hex() for t in ('Leyla lives in Istanbul', '東京 タワー')])\n"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "12345")
    }
    assert len(answers) == 1
    assert HashingEmbedder()("Leyla lives in Istanbul").tobytes().hex() in answers.pop()


def test_the_hashing_embedder_keeps_its_vectors_for_ever():
    """Stores hold them: a change here needs a new ``version``."""
    vector = HashingEmbedder(dim=8, normalize=False)("Leyla lives in Istanbul, Leyla knows")
    assert (vector.tolist(), HashingEmbedder().version) == ([-1, 1, 0, -1, 0, 0, 2, 0], "1 ngram=1")


def test_alike_texts_have_alike_vectors():
    embed = HashingEmbedder()
    base = embed("the red canoe lies on the shore")
    alike, other = embed("the red canoe lies in the boathouse"), embed("interest rates rose by half a point")
    assert cosine(base, alike) > 0.5
    assert cosine(base, other) < 0.3
    assert cosine(base, embed("The RED canoe: lies on the shore!")) == pytest.approx(1)


def test_ngrams_and_raw_counts():
    raw = HashingEmbedder(dim=4096, normalize=False)
    assert np.abs(raw("ant bee ant")).sum() == 3
    assert np.abs(HashingEmbedder(dim=4096, ngram=2, normalize=False)("ant bee ant")).sum() == 5
    spaces = {
        HashingEmbedder(dim=4096, ngram=ngram, normalize=normalize).version for ngram in (1, 2) for normalize in (0, 1)
    }
    assert len(spaces) == 4  # each makes other vectors, so a memory must tell them apart


def test_batches_are_the_single_vectors():
    embed = HashingEmbedder(dim=16)
    assert np.array_equal(embed.embed_batch(TEXTS), np.stack([embed(text) for text in TEXTS]))
    assert embed.embed_batch([]).shape == (0, 16)


def test_callable_embedder():
    embed = CallableEmbedder(lambda text: [len(text), 1], 2, name="length", version="3")
    assert isinstance(embed, Embedder)
    assert isinstance(HashingEmbedder(), Embedder)
    assert embed("abc").tolist() == [3, 1]
    space = space_of(embed)
    assert (space.name, space.version, space.dim, space.normalised) == ("length", "3", 2, False)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: HashingEmbedder(dim=0), InputError, "dim must be a whole number from 1"),
        (lambda: HashingEmbedder(ngram=0), InputError, "ngram must be a whole number from 1"),
        (lambda: CallableEmbedder("text", 3), InputError, "needs a function"),
        (lambda: CallableEmbedder(len, 0), InputError, "dim must be a whole number"),
        (lambda: CallableEmbedder(len, 3, name=""), InputError, "name must be a text"),
        (lambda: CallableEmbedder(len, 3, version=2), InputError, "version must be a text"),
        (lambda: space_of(lambda text: [len(text)]), InputError, r"wrap a function in CallableEmbedder\(fn, dim\)"),
        (lambda: CallableEmbedder(len, 3)("x"), InvalidVectorError, r"shape \(\)"),
        (lambda: CallableEmbedder(lambda _: [1.0], 3)("x"), EmbeddingDimensionError, "gave 1 .* promises 3"),
        (lambda: CallableEmbedder(lambda _: None, 3)("x"), EmbeddingDimensionError, "gave 0 .* promises 3"),
        (lambda: CallableEmbedder(lambda _: [math.nan] * 3, 3)("x"), InvalidVectorError, "nan"),
    ],
)
def test_what_is_no_embedder_is_named(make, error, message):
    with pytest.raises(error, match=message) as caught:
        make()
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)


class Batching:
    """An embedder of somebody else's, with ``embed_batch``."""

    dim = 2

    def __init__(self, answer):
        self.answer = answer
        self.batches = []

    def __call__(self, text):
        return self.embed_batch([text])[0]

    def embed_batch(self, texts):
        self.batches.append(list(texts))
        return [self.answer for _ in texts]


def test_batches_are_asked_for_at_once():
    embedder = Batching([1.0, 0.0])
    memory = AgentMemory(embedder=embedder)
    memory.remember_many(["a", {"content": "b", "embedding": [0.0, 1.0]}, "c"])
    assert embedder.batches == [["a", "c"]]
    assert [node.embedding.tolist() for node in memory] == [[1, 0], [0, 1], [1, 0]]
    assert memory.stats().embedder == "Batching"


@pytest.mark.parametrize(
    ("answer", "error"),
    [([1.0], EmbeddingDimensionError), ([1.0, math.inf], InvalidVectorError), (None, EmbeddingDimensionError)],
)
def test_a_bad_vector_of_an_embedder_writes_nothing(answer, error):
    memory = AgentMemory(embedder=Batching(answer))
    before = fingerprint(memory)
    for call in (lambda: memory.remember("x"), lambda: memory.remember_many(["x", "y"]), lambda: memory.recall("x")):
        with pytest.raises(error):
            call()
    assert fingerprint(memory) == before


def test_a_batch_of_the_wrong_size_is_named():
    embedder = Batching([1.0, 0.0])
    embedder.embed_batch = lambda _: []
    with pytest.raises(InputError, match="0 vectors for 2 texts"):
        embed_batch(embedder, ["a", "b"])


def test_an_error_of_the_embedder_itself_comes_through():
    def fails(_):
        raise ConnectionError("no network")

    memory = AgentMemory(embedder=CallableEmbedder(fails, 3))
    before = fingerprint(memory)
    with pytest.raises(ConnectionError, match="no network"):
        memory.remember("x")
    assert fingerprint(memory) == before


def test_cosine():
    assert cosine([1, 0], [2, 0]) == 1
    assert cosine([1, 0], [0, 5]) == 0
    assert cosine([1, 0], [-1, 0]) == -1
    assert cosine([0, 0], [1, 0]) == 0
    assert cosine(meaningful_embedder()("puppy"), meaningful_embedder()("hound")) == pytest.approx(1)
