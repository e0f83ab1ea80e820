"""The writer that the tour kills: copies one memory into another, one commit at a time, over and over.

Each line of its output acknowledges one memory, after it is durable: position, id in the source, id in the copy.
"""

import sys
from itertools import cycle

from memorygraph import AgentMemory


def copy_forever(source: str, target: str) -> None:
    """Remember everything of the memory at ``source`` in the one at ``target``, again and again, until killed."""
    with AgentMemory(path=source, read_only=True) as original:
        nodes = original.find()
    with AgentMemory(path=target, auto_associate=False) as copy:
        for node in cycle(nodes):
            made = copy.remember(node.content, memory_type=node.memory_type, source=node.source, speaker=node.speaker)
            sys.stdout.write(f"{made.position} {node.id} {made.id}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    copy_forever(*sys.argv[1:3])
