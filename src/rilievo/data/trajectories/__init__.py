"""Camera trajectories: motion estimated between frames, chained, written and scored."""
