"""Requests as they come: bodies, parameters, limits and refusals."""
