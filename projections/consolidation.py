"""How a memory settles: the transition table of its states.

::

    labile -> consolidating -> consolidated -> long term -> reconsolidating -> labile
    early LTP -> late LTP -> consolidated

A long-term memory that is taken up again becomes labile once more, to be settled anew (Nader et al., 2000). An archived
memory is restored first.
"""

from __future__ import annotations

from typing import Final

from memorygraph.events.errors import ConsolidationError
from memorygraph.events.types import ConsolidationState as State

NEXT: Final = {
    State.LABILE: State.CONSOLIDATING,
    State.CONSOLIDATING: State.CONSOLIDATED,
    State.CONSOLIDATED: State.LONG_TERM,
    State.LONG_TERM: State.RECONSOLIDATING,
    State.RECONSOLIDATING: State.LABILE,
    State.EARLY_LTP: State.LATE_LTP,
    State.LATE_LTP: State.CONSOLIDATED,
}
SETTLING: Final = frozenset(
    state.code for state in (State.LABILE, State.CONSOLIDATING, State.CONSOLIDATED, State.EARLY_LTP, State.LATE_LTP)
)
"""The states of what is on its way to long-term memory."""


def next_state(code: int) -> int:
    """Return the code of the state that follows.

    Raises:
        ConsolidationError: none does.
    """
    state = State.from_code(code)
    following = NEXT.get(state)
    if following is None:
        hint = "restore it from the archive first" if state is State.ARCHIVED else "revise its consolidation_state"
        raise ConsolidationError(f"nothing follows the state {state.value}; {hint}", state=state.value)
    return following.code
