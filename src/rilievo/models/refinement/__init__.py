"""Models around a model, each of which improves its answer."""
