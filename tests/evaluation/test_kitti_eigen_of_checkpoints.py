"""Checkpoints of Monodepth2 scored by kitti-eigen, against the protocol computed step by step.

The pictures, scans, calibration and weights are written here, and the expected numbers come from
them alone: the network as plain functions of its file, the scan projected point by point, inverse
depth resized by OpenCV, and errors by loops of numpy. Networks compute in float64 on both sides: in
float32 their convolutions differ between processors by more than a wrong protocol may.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from rilievo.evaluation.evaluation_run import evaluate
from rilievo.evaluation.options import EvaluateOptions
from rilievo.training.networks.video.depth_network import DepthNet
from support.kitti_lookalike import CAMERA_TEXT, DATE, DRIVE, write_calibration, write_scan
from support.official_checkpoints import exact_state, plain_disparities, write_checkpoint

SIZE = (64, 96)
"""Input size of the network; the pictures are larger, as KITTI's are."""
SHAPE = (100, 150)
FOCAL, CENTRE = 120.0, (73.0, 52.0)
CAMERA = CAMERA_TEXT.replace(
    "S_rect_02: 6.000000e+01 4.000000e+01", "S_rect_02: 1.500000e+02 1.000000e+02"
).replace("5.0e+01 0 2.9e+01 0 0 5.0e+01 2.1e+01", "1.2e+02 0 7.3e+01 0 0 1.2e+02 5.2e+01")
FRAMES = (3, 5)
SCALES = (0, 1, 2, 3)
NAMES = ("abs_rel", "sq_rel", "rmse", "rmse_log", "delta1", "delta2", "delta3")


pytestmark = pytest.mark.usefixtures("no_pages")


@pytest.fixture(autouse=True)
def _exact_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the depth network compute in float64."""
    forward = DepthNet.forward

    def exact(network: DepthNet, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return forward(network.double(), image.double())

    monkeypatch.setattr(DepthNet, "forward", exact)


def points_of(index: int) -> list[tuple[float, float, float]]:
    """A scan: some points behind the laser, some beyond 80 m, some sharing a pixel."""
    random = np.random.default_rng(index)
    columns, rows = random.uniform(-5, 155, 2000), random.uniform(25, 105, 2000)
    depths = random.uniform(2, 100, 2000)
    right, down = (columns - CENTRE[0]) * depths / FOCAL, (rows - CENTRE[1]) * depths / FOCAL
    points = np.stack((depths + 0.25, -right, -down), axis=1).tolist()
    return [*map(tuple, points), (-5.0, 0.0, 0.0)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "kitti"
    write_calibration(root, camera=CAMERA)
    for index in FRAMES:
        write_scan(root, index, points_of(index))
        picture = np.random.default_rng(index).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
        path = root / DATE / DRIVE / "image_02" / "data" / f"{index:010d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)
    lines = "".join(f"{DATE}/{DRIVE} {index:010d} l\n" for index in FRAMES)
    (tmp_path / "list.txt").write_text(lines)
    return root


def true_depth(index: int) -> np.ndarray:
    """Laser x of the nearest point in each pixel, by the rounding of section 11's words."""
    height, width = SHAPE
    depth = np.zeros(SHAPE)
    for point in np.array(points_of(index), np.float32).astype(np.float64):
        forward, left, up = point
        if forward < 0:
            continue
        z = forward - 0.25
        column = int(np.round(FOCAL * -left / z + CENTRE[0])) - 1
        row = int(np.round(FOCAL * -up / z + CENTRE[1])) - 1
        if 0 <= column < width and 0 <= row < height:
            before = depth[row, column]
            depth[row, column] = forward if before == 0 else min(before, forward)
    return depth


def inverse_depth(folder: Path, index: int, *, post_process: bool) -> np.ndarray:
    """Output of the network for a picture at its own size, 1 over the unit of depth."""
    path = folder.parent / "kitti" / DATE / DRIVE / "image_02" / "data" / f"{index:010d}.png"
    small = Image.open(path).resize((SIZE[1], SIZE[0]), Image.Resampling.LANCZOS)
    image = torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1)[None].double() / 255
    encoder, depth = (exact_state(folder, name) for name in ("encoder.pth", "depth.pth"))

    def said(of: torch.Tensor) -> np.ndarray:
        sigmoid = plain_disparities(encoder, depth, of, name="resnet18", scales=SCALES)[0]
        return (0.01 + 9.99 * sigmoid[0, 0]).numpy()

    with torch.no_grad():
        plain = said(image)
        if not post_process:
            return plain
        mirrored = said(image.flip(-1))[:, ::-1]
    place = np.linspace(0, 1, SIZE[1])
    left = 1 - np.clip(20 * (place - 0.05), 0, 1)
    right = left[::-1]
    return right * plain + left * mirrored + (1 - left - right) * 0.5 * (plain + mirrored)


@dataclass(frozen=True)
class Errors:
    """Errors by name."""

    values: dict[str, float]


def errors_of(inverse: np.ndarray, true: np.ndarray, *, stereo: bool) -> Errors:
    height, width = SHAPE
    resized = cv2.resize(inverse.astype(np.float32), (width, height))
    rows = (int(0.40810811 * height), int(0.99189189 * height))
    columns = (int(0.03594771 * width), int(0.96405229 * width))
    mask = np.zeros(SHAPE, bool)
    mask[rows[0] : rows[1], columns[0] : columns[1]] = True
    mask &= (true > 1e-3) & (true < 80)
    p, t = 1 / resized[mask].astype(np.float64), true[mask]
    p = p * (5.4 if stereo else np.median(t) / np.median(p))
    p = np.clip(p, 1e-3, 80)
    ratio = np.maximum(p / t, t / p)
    logs = np.log(p) - np.log(t)
    found = (
        np.mean(np.abs(p - t) / t),
        np.mean((p - t) ** 2 / t),
        np.sqrt(np.mean((p - t) ** 2)),
        np.sqrt(np.mean(logs**2)),
        *(np.mean(ratio < 1.25**power) for power in (1, 2, 3)),
    )
    return Errors(values=dict(zip(NAMES, map(float, found), strict=True)))


@pytest.mark.parametrize(("stereo", "post_process"), [(False, False), (True, False), (False, True)])
def test_a_checkpoint_scores_what_the_protocol_says(
    root: Path, tmp_path: Path, stereo: bool, post_process: bool
) -> None:
    folder = write_checkpoint(tmp_path / "checkpoint", size=SIZE, stereo=stereo, pose=None)
    options = EvaluateOptions(
        output=tmp_path / "out",
        device="cpu",
        workers=1,
        threads=1,
        list_file=tmp_path / "list.txt",
        settings=("post_process=true",) if post_process else (),
    )
    found = evaluate(str(folder), "kitti-eigen", root, options, show=False)
    assert found.alignment == ("none" if stereo else "median")
    expected = [
        errors_of(
            inverse_depth(folder, index, post_process=post_process),
            true_depth(index),
            stereo=stereo,
        )
        for index in FRAMES
    ]
    assert len(found.scores) == len(FRAMES)
    # The network's weights between plain and mirrored are of float32 as all its numbers are.
    near = 5e-6 if post_process else 1e-6
    for score, right in zip(found.scores, expected, strict=True):
        for name in NAMES:
            assert score.values[name] == pytest.approx(right.values[name], rel=near), name
    for name in NAMES:
        mean = np.mean([each.values[name] for each in expected])
        summary = next(each for each in found.summaries if each.metric == name)
        assert summary.value == pytest.approx(mean, rel=near), name
