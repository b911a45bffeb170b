"""Camera trajectories: estimated, written and scored."""
