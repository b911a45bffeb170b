"""Videos with true depth, as papers score them."""
