"""Commands of this wing, one file each."""
