"""Training of probes on backbones, frozen or tuned with them; and so of whole networks."""
