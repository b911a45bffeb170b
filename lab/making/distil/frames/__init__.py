"""Frames of shards, from files to batches."""
