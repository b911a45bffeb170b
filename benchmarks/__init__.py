"""Benchmarks of speed and size: each compares two programs in one run.

``python -m benchmarks --help`` says how; README.md says what each of them measures.
"""
