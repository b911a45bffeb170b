"""Public classes with answers to missing names."""

KINDS: dict[str, type] = {}
