"""Sweeps of backbones, probes, tasks and seeds; comparable tables, plots and pictures."""
