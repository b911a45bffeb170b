"""Views of datasets, predictions and evaluations: in FiftyOne, or as an HTML page."""
