"""Clips: frames in order, with intrinsics and poses where they are known."""
