"""One surface from many views."""
