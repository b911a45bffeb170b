"""Processing of photographs around a network."""
