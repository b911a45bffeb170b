"""Tools of assistants, one file each."""
