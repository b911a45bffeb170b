"""Commands of evaluation, one file each."""
