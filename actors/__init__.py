"""Who does it: commands, the deciding core, the ledger, the shard, and the engines behind one port."""
