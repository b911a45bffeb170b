"""Readers of numbers that other programs wrote: depth, crops, calibrations."""
