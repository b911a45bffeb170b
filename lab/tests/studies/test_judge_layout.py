"""Weights of layout networks: their reading, mixtures and scores."""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[3] / "lab" / "studies"))

from judge_changes import Measure, compared, lines
from judge_layout import Front, PreparedFrame, abs_rel, answers
from judge_turns import ANGLES, disc, turned
from layout_weights import file_weights, mixture

import rilievo
from lab.making.gating import ungate
from rilievo.errors import InputError, OptionError

BASE = Path(rilievo.__file__).parent / "models" / "default" / "base.onnx"


def photo(seed: int, shape: tuple[int, int] = (120, 160)) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    return coarse.repeat(shape[0] // 4, axis=0).repeat(shape[1] // 5, axis=1)


def layout_of_file(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Log depth of the pair and its picture, as onnxruntime computes them."""
    model = ungate(onnx.load(BASE))
    model.graph.output.append(onnx.ValueInfoProto(name="layout.depth"))
    model.graph.output.append(onnx.ValueInfoProto(name="layout.image"))
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    depth, small = session.run(["layout.depth", "layout.image"], {"image": picture[None]})
    return np.log(depth[0]).squeeze(), small[0]


def test_the_pair_of_the_file_is_that_of_the_graph(tmp_path: Path) -> None:
    """The second member sees the mirror image, and their mean is the graph's layout."""
    picture = photo(0, (384, 510))
    picture = np.ascontiguousarray(np.pad(picture, ((0, 0), (0, 2), (0, 0)), mode="edge"))
    true, small = layout_of_file(picture)
    assert (Front(BASE)(picture) == small).all()
    frame = PreparedFrame(camera="nyu", turned=False, picture=small, depth=np.ones((2, 2), "f4"))
    torch.set_num_threads(1)
    members = [
        answers(file_weights(BASE, number), [frame], tmp_path, mirrored=bool(number))[0]
        for number in (0, 1)
    ]
    off = (members[0] + members[1]) / 2 - true
    assert np.ptp(off) < 1e-4
    assert np.ptp(members[0] - true) > 1e-2
    again = answers(file_weights(BASE, 1), [frame], tmp_path, mirrored=True)[0]
    assert (again == members[1]).all()


def test_a_mixture_is_a_mean_with_shares(tmp_path: Path) -> None:
    start = {"a": np.array([1.0, 2.0], np.float32), "n": np.array(3)}
    for name, value in (("run-0", 3.0), ("run-1", 5.0)):
        np.savez(tmp_path / f"{name}.npz", a=np.full(2, value, np.float16), n=np.array(3))
    mixed = mixture(f"0.5*-+0.5*{tmp_path}/run-*.npz", start)
    assert mixed["a"].tolist() == [2.5, 3.0]
    assert mixed["a"].dtype == np.float32
    assert mixed["n"] == 3
    assert mixture(f"{tmp_path}/run-*.npz", start)["a"].tolist() == [4.0, 4.0]
    assert mixture("-", start)["a"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("0.5*-", OptionError, "add up to 0.5"),
        ("{}/none-*.npz", InputError, "no file"),
        ("{}/other.npz", InputError, "no a of shape"),
    ],
)
def test_wrong_mixtures_are_refused(
    text: str, error: type[Exception], words: str, tmp_path: Path
) -> None:
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(error, match=words):
        mixture(text.format(tmp_path), {"a": np.zeros(2)})


def test_abs_rel_knows_no_scale_and_grows_with_the_error() -> None:
    depth = np.exp(np.random.default_rng(0).normal(1, 0.5, (24, 32))).astype(np.float32)
    depth[:3] = 0
    log = np.log(np.where(depth > 0, depth, 1))
    assert abs_rel(log + np.float32(0.7), depth) == pytest.approx(0, abs=1e-5)
    # Fourteen columns of 32 are 10% too far, so the median is that of the others.
    columns = np.tile(np.arange(32) < 14, (24, 1))
    far = np.where(columns, np.float32(np.log(1.1)), np.float32(0))
    assert abs_rel(far, np.ones((24, 32), np.float32)) == pytest.approx(0.1 * 14 / 32, rel=1e-3)


@pytest.mark.parametrize("angle", [0.0, *ANGLES])
def test_a_turned_frame_has_no_invented_pixel(angle: float) -> None:
    white, depth = np.full((120, 160, 3), 255, np.uint8), np.full((120, 160), 2, np.float32)
    image, truth = turned(white, depth, angle)
    assert (image == 255).all()
    assert image.shape[:2] == truth.shape
    assert set(np.unique(truth)) == {0.0, 2.0}
    assert (truth[disc(len(truth))] == 2).all()


def test_a_frame_and_its_depth_turn_alike() -> None:
    grey = photo(1)[..., 0]
    for angle in ANGLES:
        image, depth = turned(np.stack([grey] * 3, -1), grey.astype(np.float32) + 1, angle)
        same = np.abs(image[..., 0] + 1.0 - depth)[disc(len(depth))]
        assert np.mean(same < 1) > 0.8


def test_groups_of_cameras_are_means_of_changes() -> None:
    old = {"a": np.full(8, 0.2), "b": np.full(2, 0.4), "c": np.array([np.nan])}
    new = {"a": np.full(8, 0.1), "b": np.full(2, 0.4), "c": np.array([np.nan])}
    found = compared(
        old,
        new,
        Measure(title="error"),
        blocks={"a": 4},
        means={"both": ("a", "b", "c"), "none": ("c",)},
    )
    assert found.together["both"].mean == pytest.approx(-0.25)
    assert found.together["both"].low == pytest.approx(-0.25)
    assert set(found.together) == {"both"}
    assert set(found.changes) == {"a", "b"}
    assert "mean, both: -25.0% [-25.0%, -25.0%]" in lines(found)


def test_a_median_and_a_difference_are_compared_as_such() -> None:
    old = {"a": np.array([1.0, 2.0, 9.0])}
    new = {"a": np.array([1.0, 1.0, 9.0])}
    found = compared(old, new, Measure(title="width", median=True, relative=False))
    assert found.changes["a"].mean == -1
    assert found.changes["a"].low >= -1
    assert found.changes["a"].high == 0
    assert compared(old, new, Measure(title="width", median=True)).changes["a"].mean == -0.5
