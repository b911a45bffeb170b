"""Processes that share the work on many inputs."""
