"""What the durability tests run in other processes: writers that say what was acknowledged to them."""

import os
import sys

from memorygraph import AgentMemory
from memorygraph.events.log import Head
from memorygraph.events.stores import SegmentLog


def write_shared(store, name, count, start):
    """Write ``count`` memories of ``name`` in all the ways there are, at the same time as others."""
    start.wait()
    with AgentMemory(store, principal=name) as memory:
        memory.remember("of all of us", node_id="common", command_id="common")
        for number in range(count):
            node = memory.remember(f"{name} {number}", tags=[name], command_id=f"{name}-{number}")
            memory.link("common", node, weight=0.5)
            memory.get("common").reinforce(0.01)
            if number % 5 == 0:
                memory.remember(f"{name} {number}", tags=[name], command_id=f"{name}-{number}")
        memory.remember_many([{"content": f"{name} batch {number}", "tags": [name]} for number in range(50)])


def write_until_killed(store, acknowledgements, prefix, *, late):
    """Remember without end and write each id to a pipe once it is acknowledged; ``late`` puts a fault under it."""
    if late:
        SegmentLog.append = acknowledged_before_it_is_written(SegmentLog.append)
    with AgentMemory(store, auto_associate=False) as memory:
        number = 0
        while True:
            node = memory.remember(f"{prefix} {number}", node_id=f"{prefix}-{number}")
            os.write(acknowledgements, f"{node.id}\n".encode())
            number += 1


def acknowledged_before_it_is_written(append):
    """The mutant: an ``append`` that gives its answer first and writes the records with the next ones."""
    waiting = []

    def late_append(log, records, time_us):
        head = log.head
        for before in waiting:
            head = append(log, *before)
        waiting[:] = [(records, time_us)]
        return Head(head.position + len(records), head.chain)

    return late_append


def serve(store, late):
    """Fork a writer for each line on standard input (``number prefix``), kill it after as many acknowledgements.

    A fork of a process that has imported everything takes milliseconds, so a hundred rounds fit into a test.
    Prints the acknowledged ids of each round on one line.
    """
    for line in sys.stdin:
        count, prefix = line.split()
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            write_until_killed(store, writer, prefix, late=late)
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            acknowledged = [pipe.readline() for _ in range(int(count))]
            os.kill(child, 9)
            acknowledged += pipe.readlines()
        os.waitpid(child, 0)
        print(*(entry.decode().strip() for entry in acknowledged if entry.endswith(b"\n")), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2] == "late")
