"""Further training of models that already predict depth."""
