"""Labels of targets from files."""
