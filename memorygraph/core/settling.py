"""``GraphSettling``: how the memories of a ``MemoryGraph`` settle, merge and fade."""

from __future__ import annotations

from itertools import count

from memorygraph import checks
from memorygraph.actors.commands import AdvanceConsolidation, ForgetFaded, MergeSimilar, Receipt
from memorygraph.events.records import NodesForgotten
from memorygraph.events.types import ConsolidationState
from memorygraph.home import Home

_CANDIDATES_MAX = 1 << 31


class GraphSettling:
    """The part of ``MemoryGraph`` that looks after its memories."""

    _home: Home

    def advance_consolidation(self, node_id: str, *, command_id: str | None = None) -> ConsolidationState:
        """Bring a node to the next state and return it.

        labile, consolidating, consolidated, long term, reconsolidating, labile; early LTP, late LTP, consolidated. A
        long-term memory is not pruned; taken up again, it is labile once more.

        Raises:
            NodeNotFoundError: there is no such node.
            ConsolidationError: nothing follows its state; an archived memory is restored first.
        """
        name = checks.identifier("id", node_id)
        self._home.execute(AdvanceConsolidation(id=name), command_id=command_id)
        return ConsolidationState.from_code(self._home.node(name)[0].consolidation_state)

    def merge_similar_nodes(
        self,
        similarity_threshold: float = 0.95,
        max_candidates: int | None = 1000,
        *,
        command_id: str | None = None,
    ) -> int:
        """Merge nodes whose vectors are nearly the same, in one command, and return how many went.

        Of nodes with a cosine of at least the threshold the most important stays, of equal ones the oldest: with its
        text, the labels and metadata of all (its own where they differ), and their edges, of which those of one kind
        between the same ends become one. Its importance rises by 0.1 (1 - I) for each that goes. What goes is
        forgotten, with the reason "merged into" and the id of what stays; edges between the two go. Nodes of different
        scopes, or that expire at different times, are never merged, nor what an edge CONTRADICTS joins, nor those whose
        labels together would be above the limits of a node; and none goes that has a review schedule. A link that
        somebody makes meanwhile to what goes is kept: the command is decided again.

        Args:
            similarity_threshold: the least cosine, -1..1.
            max_candidates: so many of the newest nodes are compared with all others; None: every one. One call moves
                about 2,000 edges at most; what is left then is merged by the next.

        Raises:
            TransactionConflict: others kept changing or linking what was to go; nothing was merged.
        """
        threshold = checks.within("similarity_threshold", similarity_threshold, -1.0, 1.0)
        some = None if max_candidates is None else checks.count("max_candidates", max_candidates, 0, _CANDIDATES_MAX)
        operation = MergeSimilar(threshold=threshold, candidates=some)
        return len(_forgotten(self._home.execute(operation, command_id=command_id)))

    def prune_forgotten(
        self, retention_threshold: float = 0.05, *, reason: str = "faded", command_id: str | None = None
    ) -> list[str]:
        """Forget the nodes whose retention is below a threshold, in commands of bounded size, and return their ids.

        Long-term, undecaying and important nodes (from 0.9) stay. Forgotten is not erased: the log still tells.

        Raises:
            InputError: the threshold is not in 0..1.
        """
        threshold = checks.within("retention_threshold", retention_threshold, 0.0, 1.0)
        operation = ForgetFaded(retention_threshold=threshold, reason=checks.note("reason", reason))
        forgotten = gone = _forgotten(self._home.execute(operation, command_id=command_id))
        for number in count(1):
            if len(gone) < operation.limit:
                break
            name = None if command_id is None else f"{command_id}/{number}"
            gone = _forgotten(self._home.execute(operation, command_id=name))
            forgotten = forgotten + gone
        return forgotten


def _forgotten(receipt: Receipt) -> list[str]:
    return [node_id for event in receipt.events if isinstance(event, NodesForgotten) for node_id in event.ids]
