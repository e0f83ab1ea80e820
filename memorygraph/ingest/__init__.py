"""Reading what is already written down: git history, documents, docstrings and chat logs become memories.

Readers turn a place into a ``Harvest``; ``sync`` brings a memory in line with it, again and again.
"""

from memorygraph.ingest.harvest import Connection, Harvest, Item, Progress
from memorygraph.ingest.place import harvest_path, ingest
from memorygraph.ingest.reconcile import SyncReport, sync

__all__ = ["Connection", "Harvest", "Item", "Progress", "SyncReport", "harvest_path", "ingest", "sync"]
