"""The specification's block on working memory, as written, with the outcomes that its text states."""

from memorygraph import MemoryNode, MemoryType


def test_working_memory_buffer(capsys):
    node = MemoryNode(content="Paris", memory_type=MemoryType.SEMANTIC)
    fact = MemoryNode(content="Paris is the capital of France", memory_type=MemoryType.SEMANTIC)
    event = MemoryNode(content="We met in Paris", memory_type=MemoryType.EPISODIC)

    from memorygraph import WorkingMemoryBuffer, WorkingMemorySlot

    wm = WorkingMemoryBuffer(
        capacity=7,  # Miller's magical number
        decay_rate=0.05,
        interference_rate=0.1,
        eviction_policy="lru_activation",
    )

    # Push nodes into specific slots
    wm.push(node, slot=WorkingMemorySlot.CENTRAL, activation=1.0, priority=1.0)
    wm.push(fact, slot=WorkingMemorySlot.PHONOLOGICAL, activation=0.8)
    wm.push(event, slot=WorkingMemorySlot.EPISODIC, activation=0.7)

    # Tick to apply decay (call periodically or on each agent step)
    wm.tick()

    # Inspect the buffer
    snapshot = wm.snapshot()
    print(f"Utilization: {snapshot['utilization'] * 100:.0f}%")

    # Get the current focus of attention
    focus_item = wm.focus()

    # Register eviction callback
    wm.on_evict = lambda item: print(f"Evicted: {item.node.content}")

    assert capsys.readouterr().out == "Utilization: 43%\n"
    assert focus_item.node.content == "Paris"
    assert 0.9 < focus_item.activation < 1.0
    wm.push(fact, slot=WorkingMemorySlot.CENTRAL, activation=1.0)  # the focus holds one item
    assert capsys.readouterr().out == "Evicted: Paris\n"
    assert wm.focus().node.content == "Paris is the capital of France"


def test_slots_have_capacities_of_their_own_and_similar_items_interfere():
    """Four slot types with independent capacities, interference between similar items, eviction by activation."""
    from memorygraph.memory.working import WorkingMemoryBuffer, WorkingMemorySlot

    wm = WorkingMemoryBuffer()
    nodes = [MemoryNode(content=str(n), embedding=[1.0, 0.01 * n]) for n in range(6)]
    for n, node in enumerate(nodes):
        wm.push(node, slot=WorkingMemorySlot.VISUOSPATIAL, activation=0.5 + 0.05 * n)
    held = wm.active_nodes(slot=WorkingMemorySlot.VISUOSPATIAL)
    assert sorted(item.node.content for item in held) == ["2", "3", "4", "5"]  # four fit, the least active left
    assert held[-1].activation < 0.6 * 0.91  # what is like the newer ones was weakened by each
