"""Forms in which a photograph comes: types alone, which take no reader to be named."""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image


@runtime_checkable
class Readable(Protocol):
    """An open file, or another object that returns bytes when read."""

    def read(self) -> Any:
        """Read the rest of the content."""


@runtime_checkable
class Tensor(Protocol):
    """A tensor of torch, recognised without importing torch."""

    def detach(self) -> Any:
        """The same values without their gradient."""

    def cpu(self) -> Any:
        """The same values in main memory."""


PhotoSource = (
    Path | str | bytes | bytearray | memoryview | np.ndarray | Image.Image | Readable | Tensor
)
