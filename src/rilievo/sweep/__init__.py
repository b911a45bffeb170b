"""Sweeps: many backbones, probes, tasks and seeds, measured alike; tables, plots and pictures."""
