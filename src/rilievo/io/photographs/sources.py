"""Types from which a photograph can be read, importable without the readers."""

from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from PIL import Image


@runtime_checkable
class Readable(Protocol):
    """Open file, or another object whose ``read`` returns bytes."""

    def read(self) -> Any:
        """Read what remains."""


@runtime_checkable
class Tensor(Protocol):
    """Tensor of torch, recognised by its methods so that torch need not be imported."""

    def detach(self) -> Any:
        """Return the tensor without its gradient."""

    def cpu(self) -> Any:
        """Return the tensor in main memory."""


PhotoSource = (
    Path | str | bytes | bytearray | memoryview | np.ndarray | Image.Image | Readable | Tensor
)
