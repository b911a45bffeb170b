"""Datasets, clips, fused surfaces and trajectories."""
