"""Training: recipes, the frames they draw from, and the loop that turns them into weights."""
