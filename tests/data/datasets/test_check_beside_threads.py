"""A check that parses while another thread does loses no file."""

from collections.abc import Callable
from pathlib import Path

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.check_download import check_dataset
from support.miscounted_parses import miscounting
from support.toy_dataset import write_toy

__all__ = ["miscounting"]


def test_a_dataset_of_somebody_else_is_checked_whole(
    tmp_path: Path, miscounting: Callable[[], None]
) -> None:
    dataset = open_dataset("support.toy_dataset:Toy", write_toy(tmp_path))
    miscounting()
    assert check_dataset(dataset).is_complete
