"""Shapes of arrays in signatures: jaxtyping's in tests, the arrays' own types otherwise."""

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool as Bool
    from jaxtyping import Float as Float
    from jaxtyping import Float16 as Float16
    from jaxtyping import Float32 as Float32
    from jaxtyping import Float64 as Float64
    from jaxtyping import Int as Int
    from jaxtyping import Int8 as Int8
    from jaxtyping import Int16 as Int16
    from jaxtyping import Int32 as Int32
    from jaxtyping import Int64 as Int64
    from jaxtyping import Shaped as Shaped
    from jaxtyping import UInt as UInt
    from jaxtyping import UInt8 as UInt8
    from jaxtyping import UInt16 as UInt16
else:

    class Bool:
        """Array of any dtype and shape."""

        # The annotation ``Bool[np.ndarray, "h w"]`` subscripts the class, which nothing plainer
        # can answer; without jaxtyping it stands for the array's type alone.
        def __class_getitem__(cls, shaped: tuple[Any, str]) -> Any:
            kind, _ = shaped
            return Any if isinstance(kind, str) else kind

    Float = Float16 = Float32 = Float64 = Shaped = Bool
    Int = Int8 = Int16 = Int32 = Int64 = UInt = UInt8 = UInt16 = Bool

Pixels = UInt8[np.ndarray, "h w 3"]
Field = Float32[np.ndarray, "h w"]
Mask = Bool[np.ndarray, "h w"]
Vectors = Float32[np.ndarray, "3 h w"]
Transform = Float64[np.ndarray, "4 4"]
Matrix = Float64[np.ndarray, "3 3"]
Transforms = Float64[np.ndarray, "n 4 4"]
Vector = Float64[np.ndarray, "3"]
Points = Float64[np.ndarray, "n 3"]
Positions = Float64[np.ndarray, "n 2"]
"""Positions in a picture [px]."""
Values = Float64[np.ndarray, "n"]
AnyPlane = Float[np.ndarray, "h w"]
Size = tuple[int, int]
