"""The page of ``rilievo predict --live``: pictures of depth as they are made."""
