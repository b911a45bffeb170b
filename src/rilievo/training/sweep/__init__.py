"""Sweeps of probes."""
