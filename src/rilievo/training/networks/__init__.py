"""Torch networks; they know nothing of files, datasets or training."""
