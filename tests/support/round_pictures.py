"""A picture that looks like a panorama."""

from io import BytesIO

import numpy as np
from PIL import Image


def round_picture() -> bytes:
    """A PNG of twice its height that goes round, and is calm at both poles."""
    across, down = np.meshgrid(np.arange(512) / 512, (np.arange(256) + 0.5) / 256)
    level = 120 + 60 * np.sin(np.pi * down) * np.sin(14 * np.pi * across) + 60 * down
    stream = BytesIO()
    Image.fromarray(np.dstack([level] * 3).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()
