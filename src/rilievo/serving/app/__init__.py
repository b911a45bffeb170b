"""``rilievo app``: ``rilievo serve`` with a page."""
