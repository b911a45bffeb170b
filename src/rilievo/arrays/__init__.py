"""Shapes of arrays in signatures, and the equality of records that hold arrays."""
