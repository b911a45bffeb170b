"""Reports of one evaluation, with charts."""
