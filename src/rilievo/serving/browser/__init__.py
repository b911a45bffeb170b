"""A folder that any static host serves: photographs become depth in the visitor's browser."""
