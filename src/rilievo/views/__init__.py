"""Datasets, predictions and evaluations in front of people's eyes: FiftyOne, or a page of HTML."""
