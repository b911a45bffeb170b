"""NYU Depth V2 in its layouts."""
