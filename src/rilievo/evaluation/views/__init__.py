"""Views of evaluations and predictions."""
