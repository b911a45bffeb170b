"""Adapter of published graphs, which a table describes."""
