"""Commands of this subpackage, one file each."""
