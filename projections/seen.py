"""What a reader sees: the memories of a Frame that pass some filters, and all that is counted over them alone.

Nothing hidden enters a score, a rank, a walk or a count, because each of them starts from here. Parts are made when
they are first needed.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from memorygraph.projections.concepts import ConceptIndex
from memorygraph.projections.filters import LabelIndex
from memorygraph.projections.frame import Frame
from memorygraph.projections.lexical import LexicalIndex, LexicalStatistics
from memorygraph.projections.text import Analyzer
from memorygraph.projections.turns import Questions, Turns, turns_of
from memorygraph.projections.walk import ConceptGraph
from memorygraph.projections.weights import WEIGHTS, Weights

Mask = NDArray[np.bool_]


class Indexes:
    """What is known of the rows of one memory, for every Frame of it."""

    def __init__(self, lexical: LexicalIndex, concepts: ConceptIndex, labels: LabelIndex, questions: Questions) -> None:
        self.lexical = lexical
        self.concepts = concepts
        self.labels = labels
        self.questions = questions


class Seen:
    """A Frame through some filters.

    Args:
        nodes: which node rows may be found, shape (node rows,).
    """

    def __init__(self, frame: Frame, nodes: Mask, indexes: Indexes) -> None:
        self.frame = frame
        self.nodes = nodes
        self._indexes = indexes

    def size_bytes(self) -> int:
        """Return about how many bytes are kept: the arrays made so far, but for those of the Frame."""
        made = vars(self).copy()
        arrays = [value for value in made.values() if isinstance(value, np.ndarray)]
        if "graph" in made:
            arrays.append(made["graph"].counts)
        if (turns := made.get("turns")) is not None:
            arrays += [turns.before, turns.after, turns.session, turns.follows_question]
        return sum(array.nbytes for array in arrays if array.base is None)

    @cached_property
    def total(self) -> int:
        """How many memories are seen."""
        return int(np.count_nonzero(self.nodes))

    @cached_property
    def owner(self) -> NDArray[np.int32]:
        """The node of each text row."""
        return self.frame.texts.column("node")

    @cached_property
    def texts(self) -> Mask:
        """Which text rows are the current text of a node that is seen."""
        return self.frame.live_texts() & self.nodes[self.owner]

    @cached_property
    def statistics(self) -> LexicalStatistics:
        """What BM25 needs of them."""
        return self._indexes.lexical.statistics(self.texts)

    @property
    def analyzer(self) -> Analyzer:
        """What cuts their texts into terms."""
        return self._indexes.lexical.analyzer

    @cached_property
    def graph(self) -> ConceptGraph:
        """Their concepts."""
        return ConceptGraph(
            self._indexes.concepts,
            self.texts,
            self.owner,
            self.frame.nodes.column("text_row"),
            self._indexes.concepts.counts(self.texts),
            self.total,
        )

    @cached_property
    def specificity(self) -> NDArray[np.float64]:
        """How much each concept connects, with the usual weights."""
        return self.graph.specificity(WEIGHTS)

    def specificity_with(self, weights: Weights) -> NDArray[np.float64]:
        """How much each concept connects."""
        return self.specificity if weights is WEIGHTS else self.graph.specificity(weights)

    @cached_property
    def turns(self) -> Turns | None:
        """Their conversations, if any has a session."""
        frame = self.frame
        if not frame.labels.count:
            return None
        session = self._indexes.labels.codes(frame, "session")
        asks = self._indexes.questions.upto(frame.texts)
        text_row = frame.nodes.column("text_row")
        asking = np.append(asks, np.False_)[text_row]  # the last place is for nodes without text
        return turns_of(self.nodes, session, frame.nodes.column("birth"), asking)

    @cached_property
    def speaker(self) -> NDArray[np.int32] | None:
        """The code of each node's speaker, if any has labels."""
        return self._indexes.labels.codes(self.frame, "speaker") if self.frame.labels.count else None

    @cached_property
    def speakers(self) -> frozenset[int]:
        """The codes of all speakers of theirs."""
        return frozenset() if self.speaker is None else frozenset(np.unique(self.speaker[self.nodes]).tolist())
