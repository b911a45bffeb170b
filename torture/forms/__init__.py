"""How files of each form are broken: blindly, and by what the form means.

A mutator takes the bytes of a good file and a source of chance and returns others. One that finds
nothing to hold on to falls back to blind damage, so that every case is a case.
"""

from collections.abc import Mapping
from random import Random

from torture.forms import arrays, blind, images, links, matlab, networks, pickles, texts, trees
from torture.forms.mutator import Mutator

FORMS: Mapping[str, tuple[Mutator, ...]] = {
    "bytes": blind.ALL,
    "lengths": (*blind.ALL, blind.lying_length, blind.lying_length),
    "text": (*texts.ALL, blind.flip),
    "json": (*trees.ALL, *trees.ALL, *texts.ALL),
    "yaml": (*trees.ALL, *trees.YAML, *texts.ALL),
    "toml": (*texts.ALL, *texts.TOML, blind.flip),
    "png": (*images.PNG, *images.PNG, *blind.ALL),
    "jpeg": (*images.JPEG, *blind.ALL),
    "tiff": (*images.TIFF, *images.TIFF, *blind.ALL),
    "npy": (*arrays.NPY, *arrays.NPY, *blind.ALL),
    "npz": (*arrays.NPZ, *arrays.NPZ, *blind.ALL),
    "mat5": (*matlab.ALL, *matlab.ALL, *blind.ALL),
    "hdf5": (*blind.ALL, *links.HDF5),
    "onnx": (*networks.ONNX, *networks.ONNX, *networks.ONNX, *blind.ALL),
    "safetensors": (*networks.SAFETENSORS, *networks.SAFETENSORS, *blind.ALL),
    "gzip-pickle": (*pickles.ALL, *pickles.ALL, *blind.ALL),
    "pt": (*networks.PT, *networks.PT, *arrays.ZIP, *blind.ALL),
}
"""What is done to files of a form, each as likely as the other."""


def mutate(form: str, good: bytes, chance: Random) -> bytes:
    """A broken form of a good file: mostly broken once, at times two or three times over."""
    broken = good
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        broken = chance.choice(FORMS[form])(broken, chance)
    return broken
