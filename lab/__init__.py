"""Tools that a maintainer needs once a year, beside the package, which never imports them."""
