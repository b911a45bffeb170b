"""Images, ground truth and predictions as a dataset of FiftyOne (extra ``view``)."""
