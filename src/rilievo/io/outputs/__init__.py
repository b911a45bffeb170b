"""The table of output formats, saving and reading back."""
