"""Views in FiftyOne."""
