"""Supervised training of small networks, of which the embedded ones are some."""
