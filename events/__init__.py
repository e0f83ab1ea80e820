"""What happened: event types, records, commit frames, log stores, and the ports to clock, ids and disk."""
