"""One module a file format: how it is written and, where it holds numbers, read back."""
