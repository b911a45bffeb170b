"""Where a camera went: motion estimated between frames, chained, written and scored."""
