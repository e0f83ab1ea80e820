"""What the bulk and contention tests run in other processes."""

import os
import sys
import threading
from contextlib import suppress
from functools import partial

from memorygraph import AgentMemory
from memorygraph.events.errors import ExpectationFailed, TransactionConflict

ITEMS = 2400  # three chunks


def items():
    return [{"content": f"text {number}", "node_id": f"n{number}"} for number in range(ITEMS)]


def links():
    return [(f"n{number}", f"n{number + 1}") for number in range(ITEMS - 1)]


def changes():
    return [{"id": f"n{number}", "importance": 0.25} for number in range(ITEMS)]


BULKS = {
    "remember": lambda memory, **given: memory.remember_many(items(), associate=False, command_id="first", **given),
    "link": lambda memory, **given: memory.link_many(links(), command_id="second", **given),
    "revise": lambda memory, **given: memory.revise_many(changes(), command_id="third", **given),
}


def count_up(store, threads, each, start):
    """Add one to the counters, of a node and of an edge, ``each`` times in each of several threads."""
    with AgentMemory(store) as memory:

        def work():
            for _ in range(each):
                while True:
                    node = memory.get("counter")
                    with suppress(ExpectationFailed, TransactionConflict):
                        memory.revise(node.id, content=str(int(node.content) + 1), expected=node.version)
                        break
                while True:
                    with suppress(TransactionConflict), memory.transaction():
                        count = memory.graph.get_edge("edge").metadata["count"]
                        memory.revise_edge("edge", metadata={"count": count + 1})
                        break

        start.wait()
        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


def serve(store):
    """For each line on standard input (``bulk chunks``) begin a bulk call and kill it after so many chunks."""
    for line in sys.stdin:
        bulk, chunks = line.split()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            tell = os.fdopen(writer, "w", buffering=1)
            with AgentMemory(store) as memory:
                BULKS[bulk](memory, progress=partial(print, file=tell))
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            done = [int(pipe.readline() or 0) for _ in range(int(chunks))]
            os.kill(child, 9)
        os.waitpid(child, 0)
        print(max(done, default=0), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
