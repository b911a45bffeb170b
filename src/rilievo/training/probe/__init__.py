"""Training of probes, and so of whole networks."""
