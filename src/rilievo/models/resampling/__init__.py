"""Resampling between photograph, input and output."""
