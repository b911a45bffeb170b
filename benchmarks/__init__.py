"""How fast, how light: each benchmark sets two things side by side in one run.

``python -m benchmarks --help`` says how; README.md says what each of them measures.
"""
