"""Graphs to look at: for NetworkX, Graphviz, Cytoscape and D3."""

from memorygraph.viz.export import from_networkx, render_graphviz, to_cytoscape, to_d3, to_dot, to_networkx

__all__ = ["from_networkx", "render_graphviz", "to_cytoscape", "to_d3", "to_dot", "to_networkx"]
