"""Results of an evaluation."""
