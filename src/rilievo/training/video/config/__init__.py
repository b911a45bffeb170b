"""Configuration of training on video: fields, presets, defaults."""
