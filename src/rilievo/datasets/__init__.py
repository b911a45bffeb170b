"""Images with ground truth: downloaded sets, folders of your own, and rendered scenes."""
