"""Depth over HTTP and in browsers."""
