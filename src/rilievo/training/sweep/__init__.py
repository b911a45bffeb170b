"""Sweeps of backbones, probes, tasks and seeds."""
