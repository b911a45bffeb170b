"""Files on disk: atomic, synced, locked and checked."""
