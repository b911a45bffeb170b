"""Files on disk: atomic, synced, locked, checked, owned."""
