"""A campaign against rilievo: broken files for every reader, kills at any moment, starved machines.

Not part of the tests: it takes minutes, and what it finds becomes a test beside the reader's own.
``python -m lab.torture --help``.
"""
