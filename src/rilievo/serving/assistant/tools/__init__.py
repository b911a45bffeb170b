"""Tools that an assistant calls, one file each."""
