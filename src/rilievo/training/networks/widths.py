"""Sizes of the embedded models' networks; needs no torch."""

from rilievo.frozen import frozen


@frozen
class Widths:
    """Size of a network.

    Attributes:
        blocks: Number of MobileNetV2's blocks that are kept; 17 (all) end at 1/32 of the image, 13
            at 1/16. None for ResNet50 v2, which ends at 1/16, as the encoder.
        decoder: Channels at every size that the encoder gives, the coarsest first.
    """

    blocks: int | None
    decoder: tuple[int, ...]


NARROW = Widths(blocks=17, decoder=(256, 160, 112, 64, 32))
SMALL = Widths(blocks=17, decoder=(384, 224, 160, 80, 32))
BASE = Widths(blocks=None, decoder=(512, 320, 192, 64))
