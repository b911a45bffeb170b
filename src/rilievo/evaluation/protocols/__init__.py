"""One prediction an image, scored by every benchmark that it can answer."""
