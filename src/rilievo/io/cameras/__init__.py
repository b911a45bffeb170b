"""Cameras that files of other programs state: intrinsics, lenses and their distortion."""
