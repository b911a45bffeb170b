"""Data for the wings above: datasets, clips, fused surfaces, trajectories."""
