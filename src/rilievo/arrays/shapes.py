"""Types of arrays with their shapes, for signatures.

Where jaxtyping is loaded, as in tests, they are its types, and beartype checks dtype and shape at
every call. Otherwise ``Float32[np.ndarray, "h w"]`` is ``np.ndarray`` alone.
"""

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
        """Stand-in for the types of jaxtyping."""

        # The annotation ``Bool[np.ndarray, "h w"]`` subscripts the class.
        def __class_getitem__(cls, type_and_shape: tuple[Any, str]) -> Any:
            array_type, _ = type_and_shape
            # A string names a type that is imported for type checkers only.
            return Any if isinstance(array_type, str) else array_type

    Float = Float16 = Float32 = Float64 = Shaped = Bool
    Int = Int8 = Int16 = Int32 = Int64 = UInt = UInt8 = UInt16 = Bool

Pixels = UInt8[np.ndarray, "h w 3"]
"""Picture in sRGB."""
Field = Float32[np.ndarray, "h w"]
"""A number for each pixel, such as depth."""
AnyPlane = Float[np.ndarray, "h w"]
"""The same in any precision."""
StoredMap = Shaped[np.ndarray, "h w"]
"""Number of any type for each pixel, as a file stores it."""
Mask = Bool[np.ndarray, "h w"]
"""Truth value for each pixel."""
Vectors = Float32[np.ndarray, "3 h w"]
"""Vector for each pixel, such as a normal."""
Transform = Float64[np.ndarray, "4 4"]
"""Rigid motion from a frame to another, for homogeneous coordinates [m]."""
Transforms = Float64[np.ndarray, "n 4 4"]
Matrix = Float64[np.ndarray, "3 3"]
"""Intrinsics [px] or a rotation."""
Vector = Float64[np.ndarray, "3"]
Points = Float64[np.ndarray, "n 3"]
Positions = Float64[np.ndarray, "n 2"]
"""Positions in a picture [px], column and row."""
Values = Float64[np.ndarray, "n"]
Size = tuple[int, int]
"""Height and width [px]."""
