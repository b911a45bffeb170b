"""``rilievo app``: the page of ``rilievo page`` in front of ``rilievo serve``."""
