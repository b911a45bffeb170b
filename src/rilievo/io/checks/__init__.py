"""Checks whether files are as they were written."""
