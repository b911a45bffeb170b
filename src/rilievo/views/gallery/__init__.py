"""Images, ground truth and predictions as an HTML page without server or installation."""
