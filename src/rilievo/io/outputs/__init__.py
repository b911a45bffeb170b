"""Outputs of a prediction: the table of formats, saving, and reading back."""
