"""Types of photographs' sources, without their readers."""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image


@runtime_checkable
class Readable(Protocol):
    """Object that returns bytes when read."""

    def read(self) -> Any:
        """Read the rest."""


@runtime_checkable
class Tensor(Protocol):
    """Tensor of torch."""

    def detach(self) -> Any:
        """Tensor without gradient."""

    def cpu(self) -> Any:
        """Tensor in main memory."""


PhotoSource = (
    Path | str | bytes | bytearray | memoryview | np.ndarray | Image.Image | Readable | Tensor
)
