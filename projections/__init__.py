"""What the history means: immutable Frames, graph, vectors, adjacency, recall index, digest."""
