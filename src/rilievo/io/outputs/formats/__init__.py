"""One module per file format: how it is written and, where it holds numbers, read back."""
