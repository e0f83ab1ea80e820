"""The graph and what it is made of: enums and errors, nodes, edges."""
