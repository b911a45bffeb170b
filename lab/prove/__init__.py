"""Benchmarks beside the released programs that they reproduce."""
