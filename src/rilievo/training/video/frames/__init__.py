"""Frames of a run on video: decoded, stored, chosen and put into batches."""
