"""Real sets, read as folders by the descriptions in tools."""

from pathlib import Path

import numpy as np
import pytest

from rilievo.data.datasets import open_dataset
from rilievo.geometry.normals import normals_from_depth

YAMLS = Path(__file__).parents[3] / "lab" / "studies" / "real"


@pytest.mark.parametrize(
    ("name", "count", "median"),
    [
        ("realsense", 10, 1.078),
        ("replica_47", 1, 3.541),
        ("replica_156", 1, 1.875),
        ("tartanair", 1, 16.06),
        ("icl", 5, 1.861),
        ("motorcycle", 1, 2.750),
    ],
)
def test_the_descriptions_in_tools_read_the_real_sets(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, count: int, median: float
) -> None:
    monkeypatch.setenv("RILIEVO_DATA", str(data_folder))
    dataset = open_dataset("folder", YAMLS / f"{name}.yaml")
    assert len(dataset) == count
    assert not dataset.absent
    sample = dataset[0]
    assert sample.depth is not None
    np.testing.assert_allclose(np.median(sample.depth[sample.depth_valid]), median, rtol=1e-3)


@pytest.mark.parametrize(("name", "window", "limit"), [("replica_47", 7, 0.5), ("tartanair", 3, 5)])
def test_rendered_normals_agree_with_those_of_the_depth(
    data_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    window: int,
    limit: float,
) -> None:
    monkeypatch.setenv("RILIEVO_DATA", str(data_folder))
    truth = open_dataset("folder", YAMLS / f"{name}.yaml").truth(
        open_dataset("folder", YAMLS / f"{name}.yaml").ids[0]
    )
    assert truth.depth is not None
    assert truth.camera is not None
    assert truth.normals is not None
    fitted, known = normals_from_depth(
        truth.depth.astype(np.float64), truth.camera.K, truth.depth_valid, window=window
    )
    known &= truth.normals_valid
    cosine = np.sum(fitted * truth.normals, axis=0)[known]
    assert known.mean() > 0.45
    assert np.median(np.degrees(np.arccos(np.clip(cosine, -1, 1)))) < limit
