"""Weights of the layout networks in a fused file, and mixtures of weights."""

import glob
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lab.making.shipped_layout import shipped_layout
from rilievo.errors import InputError, OptionError

Weights = Mapping[str, np.ndarray]
"""Arrays of a network by the names of ``state_dict``."""
START = "-"
"""Name of the file's own weights in a mixture."""


def file_weights(path: Path, number: int) -> Weights:
    """Read the layout network of a fused file.

    Args:
        path: A fused file with a pair of layout networks.
        number: 0 for the network that sees the picture, 1 for that of its mirror image.

    Raises:
        ModelError: If the file holds no such network.
    """
    state = shipped_layout(path, number).state_dict()
    return {name: value.numpy().copy() for name, value in state.items()}


def mixture(text: str, start: Weights) -> Weights:
    """Mix weights as a text says: terms ``[SHARE*]FILE`` with ``+`` between them.

    ``-`` is the start. A pattern such as ``runs/*.npz`` is the mean of its files. Shares add up
    to 1; a term without a share has 1.

    Raises:
        OptionError: If a share is no number, or the shares do not add up to 1.
        InputError: If a file is missing, or holds other arrays than the network.
    """
    total, mixed = 0.0, {name: np.zeros(value.shape) for name, value in start.items()}
    for term in text.split("+"):
        share, star, name = term.strip().partition("*")
        if not star or not _is_number(share):
            share, name = "1", term.strip()
        total += float(share)
        members = [start] if name == START else [_read(Path(file), start) for file in _files(name)]
        for member in members:
            for key, value in mixed.items():
                value += float(share) / len(members) * member[key].astype(np.float64)
    if abs(total - 1) > 1e-6:
        raise OptionError(f"shares of {text!r} add up to {total:g}, expected 1")
    return {key: value.astype(start[key].dtype) for key, value in mixed.items()}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _files(pattern: str) -> list[str]:
    files = sorted(glob.glob(pattern))
    if not files:
        raise InputError(f"no file {pattern}")
    return files


def _read(path: Path, start: Weights) -> Weights:
    with np.load(path) as file:
        weights = {name: file[name] for name in file.files}
    # A training may keep more beside the weights; what the network has must be there.
    for name, value in start.items():
        if name not in weights or weights[name].shape != value.shape:
            raise InputError(f"{path} has no {name} of shape {value.shape}")
    return weights
