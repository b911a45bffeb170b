"""Metres from known points, lengths, or the camera's height."""
