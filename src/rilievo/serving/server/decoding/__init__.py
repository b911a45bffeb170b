"""Decoding of visitors' files in processes of their own."""
