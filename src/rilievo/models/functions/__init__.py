"""Models that are functions of the user."""
