"""Motion of a camera, estimated from tracked corners and their depth."""
