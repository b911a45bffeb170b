"""Surfaces from depth: lattice, contours, patches and backing."""
