"""Resampling between the sizes of a photograph, a network's input, its output."""
