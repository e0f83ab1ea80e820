"""What it means to bring a memory to the next state of its consolidation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from memorygraph.actors import commands as cmd
from memorygraph.actors.touches import version_of
from memorygraph.events import records as ev
from memorygraph.projections.consolidation import SETTLING, next_state

if TYPE_CHECKING:
    from memorygraph.actors.decide import Proposer


def advance_consolidation(proposer: Proposer, operation: cmd.AdvanceConsolidation) -> None:
    """Revise the state to the one that follows it, if it is still the one that was looked at."""
    frame, row = proposer._frame, proposer._own(operation.id)
    following = next_state(frame.nodes.value("consolidation_state", row))
    proposer.reads.append(version_of(operation.id))
    proposer.events.append(ev.NodeRevised(id=operation.id, consolidation_state=following))


def settle_reinforced(proposer: Proposer, operation: cmd.ReinforceNodes) -> None:
    """Bring what is reinforced to its next state, if its importance comes to ``settles_from`` and it is on its way."""
    if operation.settles_from is None:
        return
    frame = proposer._frame
    for node_id in dict.fromkeys(operation.ids):
        row = proposer._existing(node_id)
        before, state = frame.nodes.value("importance", row), frame.nodes.value("consolidation_state", row)
        if before + operation.delta * (1.0 - before) >= operation.settles_from and state in SETTLING:
            proposer.reads.append(version_of(node_id))
            proposer.events.append(ev.NodeRevised(id=node_id, consolidation_state=next_state(state)))
