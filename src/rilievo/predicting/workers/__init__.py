"""Processes that share the work on many inputs, on this machine or by way of ``cluster``."""
