"""Weights from ``.npz`` files of Gluon, MXNet's library of networks."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from zipfile import is_zipfile

import numpy as np
import torch
from torch import nn

from rilievo.errors import InputError, ModelError
from rilievo.io.files.archives import BROKEN_FILE, npz_member, opened_npz
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable

BATCH_NORM_NAMES = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "running_mean",
    "running_var": "running_var",
}
"""Gluon's names of the parameters of a batch normalisation, by torch's."""


def is_batch_counter(parameter: str) -> bool:
    """Whether a parameter counts batches, which Gluon does not store."""
    return parameter.endswith("num_batches_tracked")


def read_gluon_arrays(source: Path, paths: Iterable[Path]) -> dict[str, np.ndarray]:
    """Read the arrays of ``.npz`` files by name.

    ``source`` is the file or folder that the user named, for the ``ModelError`` of a broken file.
    """
    arrays: dict[str, np.ndarray] = {}
    try:
        for path in paths:
            check_regular(path)
            if not is_zipfile(path):
                raise ValueError("is not an .npz archive")
            with opened_npz(path) as archive:
                for name in archive.files:
                    arrays[name.rsplit("/", 1)[-1].removesuffix(".npy")] = npz_member(archive, name)
    except (*BROKEN_FILE, InputError) as error:
        raise ModelError(f"{printable(source)}: cannot read weights: {reason(error)}") from error
    return arrays


def fill_from_arrays(
    encoder: nn.Module,
    array_names: Mapping[str, str],
    arrays: Mapping[str, np.ndarray],
    source: str,
) -> None:
    """Fill an encoder from arrays, given the name of the array of each parameter.

    ``source`` describes where the arrays come from, for messages.
    """
    state = encoder.state_dict()
    for parameter, array_name in array_names.items():
        shape = tuple(state[parameter].shape)
        array = arrays.get(array_name)
        if array is None:
            raise ModelError(f"{source}: has no array '{array_name}' of shape {shape}")
        if array.shape != shape:
            raise ModelError(f"{source}: array '{array_name}' is {array.shape}; expected {shape}")
        state[parameter] = torch.from_numpy(array.astype(np.float32))
    encoder.load_state_dict(state)
