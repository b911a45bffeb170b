"""Networks that learn from video: depth from one frame, and motion from two frames."""
