"""Clips: frames in order, with intrinsics and poses."""
