"""Widths of a network that answers in a fraction of the time of the embedded ones."""

from rilievo.training.networks.small import Widths

LIGHT = Widths(blocks=13, decoder=(128, 80, 48, 24))
