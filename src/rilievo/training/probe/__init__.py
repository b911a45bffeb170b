"""Training of probes on frozen or tuned backbones, and so of whole networks."""
