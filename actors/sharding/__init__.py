"""One large memory over several shards: who keeps what, and how they answer together (decision 0012)."""
