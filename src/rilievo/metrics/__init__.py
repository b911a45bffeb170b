"""Errors of depth, normals and surfaces: one function and one line each."""
