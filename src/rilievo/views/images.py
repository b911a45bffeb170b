"""Photographs and ground truth of a view, from a dataset or a folder of photographs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8

from rilievo.datasets.base import Dataset
from rilievo.evaluate.benchmark import InputCrop
from rilievo.evaluate.predicting import shown_to_model
from rilievo.evaluate.regions import cut_truth
from rilievo.io.photo import read_photo
from rilievo.types import Truth


@runtime_checkable
class Images(Protocol):
    """Reader of single images; an image that cannot be read raises a ``RilievoError``."""

    @property
    def split(self) -> str | None:
        """Split of the dataset; None without one."""
        ...

    def photo(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """RGB photograph, as the models saw it."""
        ...

    def photo_file(self, id: str) -> Path | None:
        """File with exactly these pixels; None if there is none."""
        ...

    def truth(self, id: str) -> Truth | None:
        """Ground truth at the photograph's size."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetImages:
    """Images of a dataset."""

    dataset: Dataset
    crop: InputCrop | str = InputCrop.NONE

    @property
    def split(self) -> str | None:
        """Split of the dataset."""
        return self.dataset.request.split

    def photo(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """RGB photograph, as the models saw it."""
        return shown_to_model(self.dataset.image(id), self.crop)

    def photo_file(self, id: str) -> Path | None:
        """File with exactly these pixels; None if there is none."""
        file = self.dataset.photo_file(id) if self.crop is InputCrop.NONE else None
        return None if file is None else file.absolute()

    def truth(self, id: str) -> Truth | None:
        """Ground truth at the photograph's size."""
        return cut_truth(self.dataset.truth(id), self.crop)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderImages:
    """Photographs of a folder, without ground truth."""

    files: Mapping[str, Path]
    split: str | None = None

    def photo(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """RGB photograph, upright."""
        return read_photo(self.files[id], own_depth=False).pixels

    def photo_file(self, id: str) -> Path | None:
        """The photograph."""
        return self.files[id].absolute()

    def truth(self, id: str) -> Truth | None:
        """None, because folders have no ground truth."""
        return None
