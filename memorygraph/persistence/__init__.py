"""Files of a graph's present state: JSON, SQLite and pickle behind one port."""
