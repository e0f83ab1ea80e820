import numpy as np
import pytest

from memorygraph import AgentMemory, MemoryType, upkeep
from memorygraph.core.types import EmbeddingDimensionError, InputError
from tests.memory.helpers import SteppedClock, clocked, meaningful_embedder


@pytest.fixture
def filled(memory):
    memory.remember("Leyla lives in Istanbul", 0.9, ["user", "place"], "semantic", node_id="istanbul")
    memory.remember(
        "Leyla builds boats of oak",
        tags=["user"],
        metadata={"page": 3, "kind": "craft"},
        speaker="Ben",
        session="s1",
        source="a.md",
        occurred_at="2020-06-01",
        node_id="boats",
    )
    memory.remember("Oslo is cold in winter", session=2, occurred_at="2021-06-01", node_id="oslo")
    memory.remember("The moon has no air", occurred_at="2022-06-01", node_id="moon")
    memory.flush()
    return memory


def test_hits_say_everything(filled):
    hits = filled.recall("Which boats does Leyla build?", k=2)
    assert hits.position == filled.position
    hit = hits[0]
    assert (hit.node_id, hit.content) == ("boats", "Leyla builds boats of oak")
    assert (hit.memory_type, hit.importance, hit.tags) == (MemoryType.EPISODIC, 0.5, ["user"])
    assert hit.metadata == {"page": 3, "kind": "craft"}
    assert (hit.speaker, hit.session, hit.source) == ("Ben", "s1", "a.md")
    assert hit.occurred_at == 1_590_969_600
    assert 0 < hit.score <= 1
    assert hit.why.lexical == hit.score
    assert (hit.why.dense, hit.why.walk, hit.why.path) == (None, None, ())
    assert len(hit.why.terms) == 3
    assert "text" in str(hit.why)
    assert "\n" not in str(hit.why)
    assert hit.to_dict()["why"]["terms"] == list(hit.why.terms)
    assert hits[1].node_id == "istanbul"


def test_scores_never_rise_and_unmatched_come_last(filled):
    for question in ("Leyla", "Where is Oslo in winter?", "xylophone", "leyla OSLO moon boats"):
        hits = filled.recall(question, k=10)
        scores = [hit.score for hit in hits]
        assert len(hits) == len(filled) == 4
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)
        assert all(str(hit.why) == "no match" for hit in hits if hit.score == 0)
    assert [len(filled.recall("Leyla", k=k)) for k in (1, 3, 4, 10_000)] == [1, 3, 4, 4]
    assert len(filled.recall("Leyla")) == 4
    assert len(filled.recall("Leyla", threshold=0.01)) == 2
    assert filled.recall("Leyla", threshold=1.0) == [hit for hit in filled.recall("Leyla") if hit.score >= 1]
    assert filled.recall("xylophone", threshold=0.01) == []


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ({"memory_type": "semantic"}, {"istanbul"}),
        ({"memory_type": MemoryType.EPISODIC}, {"boats", "oslo", "moon"}),
        ({"memory_type": "sensory"}, set()),
        ({"tags": ["user"]}, {"istanbul", "boats"}),
        ({"tags": ["user", "place"]}, {"istanbul"}),
        ({"metadata": {"page": 3}}, {"boats"}),
        ({"metadata": {"page": 3, "kind": "art"}}, set()),
        ({"session": "s1"}, {"boats"}),
        ({"session": 2}, {"oslo"}),
        ({"session": "2"}, set()),
        ({"speaker": "Ben"}, {"boats"}),
        ({"source": "a.md"}, {"boats"}),
        ({"since": "2021-06-01", "until": "2022-01-01"}, {"oslo"}),
        ({"until": "2021-06-01"}, {"boats", "oslo"}),
        ({"since": 1_654_041_600}, {"istanbul", "moon"}),
        ({"tags": ["user"], "speaker": "Ben", "memory_type": "episodic"}, {"boats"}),
        ({"tags": ["place", "none"], "tag_mode": "any"}, {"istanbul"}),
        ({"scope": "public", "tags": ["user"]}, {"istanbul", "boats"}),
        ({"scope": "private"}, set()),
    ],
)
def test_filters_of_recall_and_find(filled, filters, ids):
    hits = filled.recall("Leyla in Oslo", k=10, **filters)
    assert {hit.node_id for hit in hits} == ids
    assert [node.id for node in filled.find(**filters)] == [node.id for node in filled if node.id in ids]


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ({"tag_mode": "some"}, "'all' or 'any'"),
        ({"scope": "secret"}, "private, shared, public"),
        ({"colour": "red"}, "there is no filter 'colour'"),
    ],
)
def test_filters_that_cannot_be_used_are_named(filled, filters, told):
    for ask in (filled.find, lambda **given: filled.reason("Leyla", **given)):
        with pytest.raises(InputError, match=told):
            ask(**filters)


def test_reason_goes_through_what_passes_alone(filled):
    filled.link("istanbul", "boats")
    filled.link("boats", "moon", weight=1.0)
    assert {hit.node_id for hit in filled.reason("Istanbul", hops=3)} == {"istanbul", "boats", "moon"}
    assert {hit.node_id for hit in filled.reason("Istanbul", hops=3, tags=["user"])} == {"istanbul", "boats"}
    assert {hit.node_id for hit in filled.reason("Istanbul", hops=3, until="2022-06-01")} == set()


def test_as_of_asks_the_past(filled):
    before = filled.position
    filled.revise("oslo", content="Bergen is wet", tags=["wet"])
    assert filled.recall("Oslo", k=1, as_of=before, tags=["wet"]) == []
    assert filled.recall("Oslo", k=1, as_of=before)[0].content == "Oslo is cold in winter"
    assert filled.recall("Oslo", k=1, as_of=before).position == before
    assert filled.recall("Bergen", k=1, tags=["wet"])[0].node_id == "oslo"
    assert [hit.node_id for hit in filled.reason("Oslo", as_of=before)] == ["oslo"]
    with pytest.raises(InputError):
        filled.recall("Oslo", as_of=before + 100)


def test_filters_do_not_eat_k(memory):
    memory.remember_many([f"canoe {number}" for number in range(50)])
    wanted = memory.remember_many([{"content": "a far canoe among many other words", "tags": ["x"]}] * 3)
    assert {hit.node_id for hit in memory.recall("canoe", k=3, tags=["x"])} == {node.id for node in wanted}


def test_a_speaker_can_be_asked_for(filled):
    assert filled.recall("What did Ben say?", k=1)[0].node_id == "boats"


def test_recall_by_vector(memory):
    memory = AgentMemory(embedding_dim=3)
    memory.remember("x", embedding=[1, 0, 0], node_id="x")
    memory.remember("y", embedding=[0, 1, 0], node_id="y")
    memory.remember("z", embedding=[-1, 0, 0], node_id="z")
    hits = memory.recall([2, 1, 0])
    assert [hit.node_id for hit in hits] == ["x", "y", "z"]
    assert [hit.score for hit in hits] == pytest.approx([2 / 5**0.5, 1 / 5**0.5, 0], abs=1e-6)
    assert hits[0].why.dense == hits[0].score
    assert hits[0].why.lexical is None
    assert memory.recall(np.array([2, 1, 0]), k=1) == hits[:1]
    with pytest.raises(EmbeddingDimensionError):
        memory.recall([1, 0])


def test_a_real_embedder_finds_what_shares_no_word():
    memory = AgentMemory(embedder=meaningful_embedder())
    memory.remember("We adopted a puppy", node_id="puppy")
    memory.remember("The canoe leaks", node_id="canoe")
    memory.remember("Fresh bread every morning", node_id="bread")
    hits = memory.recall("Do they have a dog?", k=3)
    assert hits[0].node_id == "puppy"
    assert hits[0].why.dense == pytest.approx(1, abs=0.01)
    assert hits[0].why.terms == ()
    assert "vector" in str(hits[0].why)
    # Both legs speak: the word decides between two boats.
    memory.remember("The ship sails", node_id="ship")
    assert [hit.node_id for hit in memory.recall("ship or other vessel", k=2)] == ["ship", "canoe"]


def test_the_hashing_embedder_has_no_say(filled):
    assert all(hit.why.dense is None for hit in filled.recall("Leyla lives in Istanbul"))


def test_recall_reinforces_what_matched(store):
    with AgentMemory(store) as memory:
        memory.remember("Leyla lives in Istanbul", node_id="a")
        memory.remember("The moon has no air", node_id="b")
        memory.recall("Leyla", k=5)
        memory.recall("Leyla", k=5, reinforce=False)
        memory.flush()
        assert (memory.get("a").access_count, memory.get("b").access_count) == (1, 0)
        assert memory.stats().total_accesses == 1
        assert memory.history("a")[-1].kind == "recalled"
        assert memory.get("a").version == 2  # a recall is no change of content
        memory.recall("Leyla")
    with AgentMemory(store) as memory:  # close() flushed
        temporal = memory.get("a").temporal
        assert temporal.access_count == 2
        assert temporal.access_times == tuple(sorted(temporal.access_times))
        assert temporal.last_accessed == temporal.access_times[-1] >= temporal.created_at


def test_reinforcement_is_written_soon_without_flush(memory):
    memory.remember("Leyla lives in Istanbul", node_id="a")
    with memory.subscribe(memory.position + 1) as changes:
        memory.recall("Leyla")
        change = changes.next(timeout_s=30)
    assert (change.kind, change.ids) == ("recalled", ("a",))


def test_recall_slows_forgetting():
    clock = SteppedClock()
    memory = clocked(clock)
    memory.remember("Leyla lives in Istanbul", node_id="a")
    before = memory.get("a").retention(3600 * 168)
    memory.recall("Leyla")
    memory.flush()
    assert before == pytest.approx(np.exp(-1))
    assert memory.get("a").retention(3600 * 168) == pytest.approx(np.exp(-1 / 1.5))
    assert memory.get("a").temporal.access_times == (clock.time_us / 1e6,)


def test_reason_finds_what_is_linked_but_does_not_match(memory):
    memory.remember("Leyla works at the shipyard", node_id="work", importance=0.9)
    memory.remember("Strike announced for Monday", node_id="strike", importance=0.9)
    memory.remember("Buses will be full", node_id="buses", importance=0.9)
    memory.remember("The moon has no air", node_id="moon")
    memory.link("work", "strike", "causal", 0.9)
    memory.link("buses", "strike", weight=0.9)  # against the arrow, too
    hits = memory.reason("Leyla")
    assert [hit.node_id for hit in hits] == ["work", "strike", "buses"]  # the seed stays; the moon is not linked
    assert hits.position == memory.position
    assert [hit.why.path for hit in hits] == [("work",), ("work", "strike"), ("work", "strike", "buses")]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert "reached in 2 steps from work" in str(hits[2].why)
    assert hits[1].why.walk > 0.5
    assert [hit.node_id for hit in memory.reason("Leyla", hops=1)] == ["work", "strike"]
    assert [hit.node_id for hit in memory.reason("Leyla", hops=0)] == ["work"]
    assert [hit.node_id for hit in memory.reason("Leyla", k=2)] == ["work", "strike"]


@pytest.mark.parametrize("cue", ["text", "vector", "node", "id"])
def test_reason_takes_any_cue(cue):
    memory = AgentMemory(embedding_dim=2, associate_threshold=0.99)
    seed = memory.remember("Leyla", embedding=[1, 0], node_id="seed")
    memory.remember("Istanbul", embedding=[0, 1], node_id="city")
    memory.link(seed, "city", weight=1.0)
    given = {"text": "who is Leyla?", "vector": [1.0, 0.0], "node": seed, "id": "seed"}[cue]
    hits = memory.reason(given, seed_k=1)
    assert [hit.node_id for hit in hits] == ["seed", "city"]


def test_reason_without_a_match_finds_nothing(memory):
    memory.remember("Leyla")
    assert memory.reason("xylophone") == []


def test_reason_reinforces(memory):
    memory.remember("Leyla", node_id="a")
    memory.reason("Leyla", reinforce=False)
    memory.reason("Leyla")
    memory.flush()
    assert memory.get("a").access_count == 1


def test_forgotten_and_revised_texts_are_not_found(filled):
    filled.forget(ids=["boats"])
    filled.revise("oslo", content="Bergen is wet")
    assert [hit.node_id for hit in filled.recall("boats Oslo", threshold=0.01)] == []
    assert filled.recall("Bergen", k=1)[0].content == "Bergen is wet"


def test_a_language_is_kept(store):
    with AgentMemory(store, language="de") as memory:
        memory.remember("Die Häuser am See")
    with AgentMemory(store) as memory:
        assert memory.language == "de"
        assert memory.recall("Haus", k=1)[0].score > 0


def test_unicode_words_and_cjk(memory):
    memory.remember("東京タワーは赤い", node_id="tokyo")
    memory.remember("Čaj je na stole", node_id="tea")
    assert memory.recall("東京タワー", k=1)[0].node_id == "tokyo"
    assert memory.recall("čaj", k=1)[0].node_id == "tea"


def test_the_index_is_built_before_somebody_asks(monkeypatch) -> None:
    monkeypatch.setattr(upkeep, "INDEX_ROWS", 2)
    with AgentMemory() as memory:
        memory.remember_many([f"the canoe of number {number}" for number in range(5)])
        told: list[tuple[int, int]] = []
        empty = memory.stats().bytes_by_part["index"]
        assert memory.build_index(lambda *progress: told.append(progress)) == 5
        assert told == [(2, 5), (4, 5), (5, 5)]
        assert memory.stats().bytes_by_part["index"] > empty
    with AgentMemory() as empty:
        assert empty.build_index(lambda *progress: told.append(progress)) == 0


@pytest.mark.parametrize("language", ["zh", "ja", "en"])
def test_a_question_of_one_letter_finds_the_word(language):
    with AgentMemory(language=language) as memory:
        memory.remember("\u6211\u559c\u6b22\u732b", node_id="cat")
        memory.remember("\u4eca\u5929\u4e0b\u96e8", node_id="rain")
        assert [hit.node_id for hit in memory.recall("\u732b?", 2, threshold=0.01)] == ["cat"]
        assert [hit.why.terms for hit in memory.recall("\u559c\u6b22", 1)] == [("\u559c\u6b22",)]
