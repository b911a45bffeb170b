"""Objects found by name: those of our subpackages, and those of other packages."""
