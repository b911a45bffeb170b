"""Boxes and masks of objects in photographs, folders and videos, for ``rilievo measure``."""
