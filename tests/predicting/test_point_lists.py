"""Lists of known points whose columns and rows are of another picture than the photograph."""

from pathlib import Path

import numpy as np
import pytest

from rilievo.errors import InputError
from rilievo.predicting.metres.sparse import SparseDepth, read_sparse

SHAPE = (480, 640)


def spread(size: tuple[int, int], count: int = 60) -> np.ndarray:
    """Points u, v, metres all over a picture (height, width)."""
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 1, (count, 2)) * (size[1] - 1, size[0] - 1)
    return np.column_stack([places, rng.uniform(1, 5, count)])


def read(folder: Path, points: np.ndarray, **options: int) -> SparseDepth:
    path = folder / "points.txt"
    path.write_text("\n".join(" ".join(map(str, point)) for point in points.tolist()))
    return read_sparse(path, SHAPE, None, **options)


def test_points_of_the_photograph_are_all_used_and_raise_no_doubt(tmp_path: Path) -> None:
    for points in (spread(SHAPE), spread(SHAPE, 3), spread((200, 250)) + np.array((300, 200, 0))):
        sparse = read(tmp_path, points)
        assert not sparse.reading.warnings
        assert not sparse.sensor_doubts
        assert len(sparse.points) == len(points)
    # On an object in the upper left, far from the borders of any smaller picture.
    assert not read(tmp_path, spread((60, 80)) + np.array((100, 90, 0))).reading.warnings
    # Half a pixel of the border lies beyond the centres of its pixels; zero is a gap.
    edge = np.array([[-0.25, 10, 2], [639.4, 479.3, 3], [50, 60, 0]])
    sparse = read(tmp_path, edge)
    assert not sparse.reading.warnings
    assert [(point.u, point.v) for point in sparse.points] == [(0, 10), (639, 479)]


def test_points_outside_of_the_photograph_are_counted(tmp_path: Path) -> None:
    points = spread(SHAPE)
    points[:2, 0] = (-30, 700)
    [doubt] = read(tmp_path, points).reading.warnings
    assert "outside the photograph's 480 x 640 pixels" in doubt
    points[5:8, 2] = (-1, np.nan, np.inf)
    doubts = read(tmp_path, points).reading.warnings
    assert any(
        "rilievo ignores 3 of 60 points, because their distances" in doubt for doubt in doubts
    )


@pytest.mark.parametrize(
    ("size", "words"),
    [
        ((960, 1280), "such as 960 x 1280"),
        ((3024, 4032), "such as 3024 x 4032"),
        ((720, 1280), "another size, such as 960 x 1280"),
        ((640, 480), "if columns and rows were swapped"),
        ((240, 320), "as if they belonged to a picture of 240 x 320 pixels"),
        ((192, 256), "as if they belonged to a picture of 192 x 256 pixels"),
    ],
)
def test_columns_and_rows_of_another_size_are_noticed(
    tmp_path: Path, size: tuple[int, int], words: str
) -> None:
    sparse = read(tmp_path, spread(size))
    assert any(words in doubt for doubt in sparse.reading.warnings)
    # Measurements repeat it, as no metres would be right.
    [doubt] = sparse.sensor_doubts
    assert words in doubt


def test_shares_of_the_picture_are_refused(tmp_path: Path) -> None:
    points = spread(SHAPE) / (640, 480, 1)
    with pytest.raises(InputError, match="fractions of the picture; expected pixels"):
        read(tmp_path, points)


def test_points_that_all_lie_outside_are_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no point with depth inside.*of another size"):
        read(tmp_path, spread((480, 640)) + np.array((700, 500, 0)))


def test_points_of_a_photograph_that_exif_turns_are_said_to_be_upright(tmp_path: Path) -> None:
    [doubt] = read(tmp_path, spread(SHAPE), orientation=6).reading.warnings
    assert "read as those of the upright photograph" in doubt
