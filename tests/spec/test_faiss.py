"""The specification's FAISS index, as written."""

import sys

import pytest

from memorygraph import AgentMemory


def test_faiss_index():
    mem = AgentMemory(use_faiss=True)

    mem.remember("Leyla lives in Istanbul")
    mem.remember("The launch moved to Friday")
    found = mem.graph.similarity_search(mem.embedder("Leyla lives in Istanbul"), k=1)
    assert mem.get(found[0].node_id).content == "Leyla lives in Istanbul"
    assert mem.recall("launch", k=1)[0].content == "The launch moved to Friday"
    mem.close()


def test_it_is_imported_lazily_and_named_when_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    AgentMemory()
    with pytest.raises(ImportError, match="faiss-cpu"):
        AgentMemory(use_faiss=True)
