"""Photographs and truth of what is looked at: of a dataset, or of a folder of photographs."""

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
    """Read one at a time; an image that cannot be read raises a ``RilievoError``."""

    @property
    def split(self) -> str | None:
        """The part of the dataset; None where there is none."""
        ...

    def photo(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """RGB, as the models saw it."""
        ...

    def photo_file(self, id: str) -> Path | None:
        """The file that shows just that; None where there is no such file."""
        ...

    def truth(self, id: str) -> Truth | None:
        """Ground truth at the photograph's size."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetImages:
    """Of a dataset.

    Attributes:
        dataset: Opened.
        crop: What the models got to see of each photograph.
    """

    dataset: Dataset
    crop: InputCrop = InputCrop.NONE

    @property
    def split(self) -> str | None:
        """The part of the dataset."""
        return self.dataset.request.split

    def photo(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """RGB, as the models saw it."""
        return shown_to_model(self.dataset.image(id), self.crop)

    def photo_file(self, id: str) -> Path | None:
        """The file that shows just that; None where there is no such file."""
        file = self.dataset.photo_file(id) if self.crop is InputCrop.NONE else None
        return None if file is None else file.absolute()

    def truth(self, id: str) -> Truth | None:
        """Ground truth at the photograph's size."""
        return cut_truth(self.dataset.truth(id), self.crop)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderImages:
    """Of photographs that were predicted from a folder, without truth.

    Attributes:
        files: Of each id.
    """

    files: Mapping[str, Path]
    split: str | None = None

    def photo(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """RGB, upright."""
        return read_photo(self.files[id], own_depth=False).pixels

    def photo_file(self, id: str) -> Path | None:
        """The photograph."""
        return self.files[id].absolute()

    def truth(self, id: str) -> Truth | None:
        """None."""
        return None
