"""The few numbers that mix the evidence of a recall, and what they gave (``python -m bench.recall_fit``)."""

from __future__ import annotations

from typing import Final

from msgspec import Struct


class Weights(Struct, frozen=True, kw_only=True):
    """How much each kind of evidence counts.

    The legs, ``turn``, ``answer``, ``session``, ``speaker`` and ``date`` are in standard deviations of the leg over the
    visible memories; the others shape the walk.
    """

    dense: float = 1.0  # cosine beside BM25
    turn: float = 0.3  # what the turn before and after a memory scores
    answer: float = 0.8  # what the turn before scores, when it asks something
    session: float = 0.4  # mean of the three best of a session
    speaker: float = 3.0  # spoken by somebody whom the question names
    date: float = 1.0  # happened in the time that the question means
    sharpness: int = 6  # power that makes scores into the walk's restart
    damping: float = 0.75  # share of the activation that goes on in a round
    asked: float = 0.3  # share of the restart on what the question names
    stay: float = 3.0  # weight of staying at a memory, beside the idf of what it names
    about: float = 0.8  # share of a concept's activation for memories whose title it is
    titled: float = 0.5  # closeness of a memory that has a concept in its title, beside one whose title it is
    match: float = 5.0  # how much more of a concept's activation the best match gets
    common: float = 0.1  # concepts of a larger share of the memories connect nothing
    rounds: int = 4  # steps of the walk
    link: float = 5.0  # weight of a link of weight 1, beside the idf of concepts
    similar: float = 0.01  # of that, for links by similarity: what they say, words and vectors say too


WEIGHTS: Final = Weights()
