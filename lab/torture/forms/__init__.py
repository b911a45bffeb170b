"""Mutators that break files of each format: blindly, or by knowledge of the format.

A mutator takes the bytes of a good file and a random generator, and returns other bytes. If it
finds nothing to change, it falls back to blind damage, so that every case is a case.
"""

from collections.abc import Mapping
from random import Random

from lab.torture.forms import (
    arrays,
    blind,
    claims,
    dear,
    images,
    matlab,
    networks,
    pickles,
    texts,
    trees,
)
from lab.torture.forms.mutator import Mutator

FORMS: Mapping[str, tuple[Mutator, ...]] = {
    "bytes": blind.ALL,
    "exr": (*blind.ALL, *(2 * (blind.lying_length,)), *claims.EXR),
    "lengths": (*blind.ALL, blind.lying_length, blind.lying_length),
    "boxes": (*blind.ALL, blind.lying_length, blind.lying_length, *dear.BOXES),
    "text": (*texts.ALL, blind.flip),
    "json": (*trees.ALL, *trees.ALL, *texts.ALL),
    "yaml": (*trees.ALL, *trees.YAML, *texts.ALL),
    "toml": (*texts.ALL, *texts.TOML, blind.flip),
    "png": (*images.PNG, *images.PNG, *dear.PNG, *blind.ALL),
    "jpeg": (*images.JPEG, *dear.JPEG, *dear.JPEG, *dear.JPEG, *blind.ALL),
    "tiff": (*images.TIFF, *images.TIFF, *dear.TIFF, *blind.ALL),
    "npy": (*arrays.NPY, *arrays.NPY, *blind.ALL),
    "npz": (*arrays.NPZ, *arrays.NPZ, *blind.ALL),
    "mat5": (*matlab.ALL, *matlab.ALL, *blind.ALL),
    "hdf5": blind.ALL,
    "onnx": (*networks.ONNX, *networks.ONNX, *networks.ONNX, *claims.ONNX, *blind.ALL),
    "safetensors": (*networks.SAFETENSORS, *networks.SAFETENSORS, *blind.ALL),
    "gzip-pickle": (*pickles.ALL, *pickles.ALL, *claims.PICKLE, *blind.ALL),
    "pt": (*networks.PT, *networks.PT, *arrays.ZIP, *blind.ALL),
}
"""Mutators of each format, chosen with equal probability."""


def mutate(form: str, good: bytes, chance: Random) -> bytes:
    """Break a good file: mostly once, sometimes two or three times."""
    broken = good
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        broken = chance.choice(FORMS[form])(broken, chance)
    return broken
