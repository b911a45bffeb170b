"""Public classes whose missing names are answered, by their names, once they are imported."""

KINDS: dict[str, type] = {}
"""Classes by name; ``rilievo.foreign_names.ForeignNames`` enters those that are made of it."""
