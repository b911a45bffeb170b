"""Metres from known distances to points, known lengths, or the camera's height above the floor."""
