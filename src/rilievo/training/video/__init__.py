"""Depth learned from video without true depth (Godard et al. 2019, and later work)."""
