"""Function words: they say how a sentence is built, not what it is about, so the text index leaves them out.

English only: in other languages such words stay in the index, where a small idf keeps them quiet. Words are case-folded
and not stemmed; contractions stand here as people type them without the apostrophe (with it, ``text.py`` splits them).
Changing a list changes what an index holds: raise ``text.RULES_VERSION`` with it.
"""

from __future__ import annotations

_ENGLISH = """
a an the this that these those such some any each every either neither both all no none
i me my mine myself we us our ours ourselves you your yours yourself yourselves
he him his himself she her hers herself it its itself they them their theirs themselves one
who whom whose which what when where why how whoever whatever whichever whenever wherever
am is are was were be been being do does did doing done have has had having
can could may might must shall should will would ought
and or but nor so yet if then else than because since unless until while whether though although as
of in on at by to from for with without about into onto upon within between among through during
against toward towards over under above below before after up down out off
not only also too very just even ever again there here now
im ive youre youve hes shes theyre theyve thats whats
dont doesnt didnt isnt arent wasnt werent havent hasnt hadnt cant couldnt wont wouldnt shouldnt
"""
ENGLISH: frozenset[str] = frozenset(_ENGLISH.split())

_INTERJECTIONS = """
hey hi hello bye goodbye thanks thank please sorry congrats congratulations welcome
yes yeah yep yup nope ok okay sure right well wow oh ooh ah aw aww hmm haha lol ugh yay woohoo
great good cool nice awesome amazing glad absolutely definitely exactly totally indeed
"""
INTERJECTIONS: frozenset[str] = frozenset(_INTERJECTIONS.split())
"""What begins a chat turn with a capital letter and names nothing."""

_TIMES = """
january february march april may june july august september october november december
jan feb mar apr jun jul aug sep sept oct nov dec
monday tuesday wednesday thursday friday saturday sunday today tomorrow yesterday last next
"""
TIMES: frozenset[str] = frozenset(_TIMES.split())
"""Words of dates: said of too many things to connect two memories."""
