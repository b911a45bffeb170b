"""Correspondence of frozen features between views, beside a computation with NumPy alone."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from rilievo.cli import main
from rilievo.data.datasets import open_dataset
from rilievo.errors import InputError, OptionError
from rilievo.training.correspondence.correspondence_config import CorrespondenceOptions
from rilievo.training.correspondence.correspondence_run import probe_correspondence
from rilievo.training.correspondence.matching import match_features
from rilievo.training.correspondence.pair_scores import PairScore, mean_recalls, recalls_of_points
from rilievo.training.correspondence.protocols import PROTOCOLS
from support.tiny_backbones import save_model
from support.viewed_spheres import turned, write_navi, write_scannet

BACKBONES = {"ViTConfig": 16, "Dinov2Config": 14, "ConvNextConfig": 32}
"""Configurations of transformers, and the strides of their last maps [px]."""
NAVI_ANGLES = (0, 12, 41, 75, 100, 170)
SCANNET_ANGLES = (0, 8, 24, 50)


def saved(folder: Path, kind: str) -> str:
    sides = {"patch_size": BACKBONES[kind]} if kind != "ConvNextConfig" else {}
    return save_model(folder / kind, kind, **sides)


# The computation of its own: NumPy, and the network of transformers for its last block.


def last_map(folder: Path, pixels: np.ndarray) -> np.ndarray:
    """Output of the last block for normalised pixels (h, w, 3), as (channels, rows, columns)."""
    import transformers

    network = transformers.AutoModel.from_pretrained(folder).eval()
    lists = [each for each in network.modules() if isinstance(each, torch.nn.ModuleList)]
    blocks = max(lists, key=len)
    outputs: list[Any] = []
    blocks[-1].register_forward_hook(lambda _, __, output: outputs.append(output))
    options = {} if "ConvNext" in folder.name else {"interpolate_pos_encoding": True}
    with torch.no_grad():
        network(pixel_values=torch.tensor(pixels.transpose(2, 0, 1)[None]).float(), **options)
    output = outputs[0]
    output = (output[0] if isinstance(output, tuple) else output)[0].double().numpy()
    if output.ndim == 3:
        return output
    patch = BACKBONES[folder.name]
    rows, columns = pixels.shape[0] // patch, pixels.shape[1] // patch
    return output[-rows * columns :].T.reshape(-1, rows, columns)


def padded(pixels: np.ndarray, patch: int, *, over: bool) -> tuple[np.ndarray, int, int]:
    """Pixels with zeros around them, and the added rows above and columns on the left."""
    lacks = [-side % patch for side in pixels.shape[:2]]
    if over and any(lacks):
        lacks = [patch - side % patch for side in pixels.shape[:2]]
    top, left = lacks[0] // 2, lacks[1] // 2
    sides = ((top, lacks[0] - top), (left, lacks[1] - left), (0, 0))
    return np.pad(pixels, sides), top, left


def kernel(distances: np.ndarray, *, is_cubic: bool) -> np.ndarray:
    """Keys' kernel with a = -0.75, or that of linear interpolation."""
    d = np.abs(distances)
    if not is_cubic:
        return np.maximum(0, 1 - d)
    near, far = 1.25 * d**3 - 2.25 * d**2 + 1, -0.75 * (d**3 - 5 * d**2 + 8 * d - 4)
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def interpolated(values: np.ndarray, x: np.ndarray, y: np.ndarray, *, is_cubic: bool) -> np.ndarray:
    """A map at places (x, y), in pixels from the centre of its first one.

    The cubic kernel continues the map by its border, the linear one by zeros.
    """
    _, height, width = values.shape
    total = np.zeros((len(x), len(values)))
    for i in range(-1, 3):
        for j in range(-1, 3):
            rows, columns = np.floor(y).astype(int) + i, np.floor(x).astype(int) + j
            weights = kernel(y - rows, is_cubic=is_cubic) * kernel(x - columns, is_cubic=is_cubic)
            if not is_cubic:
                weights *= (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
            taken = values[:, np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
            total += weights[:, None] * taken.T
    return total


def features_and_points(
    folder: Path,
    image: np.ndarray,
    depth: np.ndarray,
    K: np.ndarray,
    *,
    scannet: bool,
    probe3d: bool,
) -> tuple[np.ndarray, np.ndarray]:
    mean, std = np.array([0.5] * 3), np.array([0.5] * 3)
    if probe3d and not scannet:
        mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = (image.astype(np.float64) / 255 - mean) / std
    filled, top, left = padded(pixels, BACKBONES[folder.name], over=probe3d)
    values = last_map(folder, filled)
    if probe3d and "ConvNext" in folder.name:
        # The program brings the maps of pyramids to a sixteenth of the image.
        size = [side // 16 for side in filled.shape[:2]]
        resized = torch.nn.functional.interpolate(
            torch.tensor(values[None]).float(), size=size, mode="bilinear"
        )
        values = resized[0].double().numpy()
    rows, columns = (
        each[depth[::4, ::4] > 0] for each in np.mgrid[: image.shape[0] : 4, : image.shape[1] : 4]
    )
    if probe3d:
        x, y = (columns + 2) / image.shape[1], (rows + 2) / image.shape[0]
    else:
        x, y = (columns + 0.5 + left) / filled.shape[1], (rows + 0.5 + top) / filled.shape[0]
    features = interpolated(
        values, x * values.shape[2] - 0.5, y * values.shape[1] - 0.5, is_cubic=not scannet
    )
    shift = 2 if probe3d and scannet else 0
    rays = np.stack([columns + shift, rows + shift, np.ones(len(rows))]).T @ np.linalg.inv(K).T
    return features, rays * depth[rows, columns][:, None]


def matched(first: np.ndarray, second: np.ndarray, count: int) -> tuple[list[int], list[int]]:
    first = first / np.linalg.norm(first, axis=1, keepdims=True)
    second = second / np.linalg.norm(second, axis=1, keepdims=True)
    distances = 1 - first @ second.T
    nearest = distances.argmin(1)
    two = np.maximum(np.sort(distances, axis=1)[:, :2], 1e-9)
    order = np.argsort(-(1 - two[:, 0] / two[:, 1]), kind="stable")[:count]
    return list(order), list(nearest[order])


def expected_recalls(
    folder: Path, dataset: Any, first: str, second: str, motion: np.ndarray, **options: Any
) -> list[float]:
    views = [dataset.sample(image_id) for image_id in (first, second)]
    (f0, p0), (f1, p1) = (
        features_and_points(
            folder, view.image, np.where(view.depth_valid, view.depth, 0), view.camera.K, **options
        )
        for view in views
    )
    chosen0, chosen1 = matched(f0, f1, 300)
    moved, found = p0[chosen0] @ motion[:3, :3].T + motion[:3, 3], p1[chosen1]
    metres = np.linalg.norm(moved - found, axis=1)
    K = views[1].camera.K
    offset = [moved[:, i] / moved[:, 2] - found[:, i] / found[:, 2] for i in (0, 1)]
    pixels = np.hypot(K[0, 0] * offset[0], K[1, 1] * offset[1])
    if options["scannet"]:
        return [float((pixels / 4 < limit).mean()) for limit in (5, 10, 20)]
    in_metres = [float((metres < limit).mean()) for limit in (0.01, 0.02, 0.05)]
    return in_metres + [float((pixels < limit).mean()) for limit in (5, 25, 50)]


def angle_of(image_id: str, angles: tuple[int, ...], *, scannet: bool) -> int:
    number = int(image_id.rpartition("/")[2])
    return angles[number // 15 if scannet else number]


def motion_between(first: float, second: float, distance: float) -> np.ndarray:
    """Pose of a camera at an angle, in the frame of another; both look at the sphere."""
    poses = []
    for angle in (first, second):
        pose = np.eye(4)
        pose[:3, :3], pose[2, 3] = turned(angle), distance
        poses.append(pose)
    return poses[1] @ np.linalg.inv(poses[0])


@pytest.mark.parametrize("preset", ["default", pytest.param("probe3d", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "scannet", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["navi", "scannet"]
)
def test_three_backbones_agree_with_numpy(tmp_path: Path, preset: str, scannet: bool) -> None:
    angles = SCANNET_ANGLES if scannet else NAVI_ANGLES
    root = tmp_path / "data"
    if scannet:
        write_scannet(root, angles, [(0, 1), (2, 1), (0, 3)])
        dataset = open_dataset("scannet-pairs", root)
    else:
        write_navi(root / "duck" / "wild_set", angles)
        write_navi(root / "duck" / "multiview_00_pixel_5", angles[:1])
        dataset = open_dataset("navi", root, split="probe3d-test", variant="metric-crop")
    names = [saved(tmp_path, kind) for kind in BACKBONES]
    command = ["probe", "correspondence", "--root", str(root), "--preset", preset]
    command += [word for name in names for word in ("-b", name)]
    command += ["--dataset", "scannet-pairs" if scannet else "navi", "--matches", "300"]
    assert main([*command, "--device", "cpu", "-o", str(tmp_path / "out")]) == 0

    record = json.loads((tmp_path / "out" / "correspondence.json").read_text())
    assert [scored["backbone"] for scored in record["backbones"]] == names
    for kind, scored in zip(BACKBONES, record["backbones"], strict=True):
        assert len(scored["pairs"]) == (3 if scannet else 2)
        for pair in scored["pairs"]:
            first, second = (
                angle_of(pair[each], angles, scannet=scannet) for each in ("first", "second")
            )
            np.testing.assert_allclose(pair["angle"], abs(first - second), atol=1e-4)
            motion = motion_between(first, second, 1.5 if scannet else 0.5)
            expected = expected_recalls(
                tmp_path / kind,
                dataset,
                pair["first"],
                pair["second"],
                motion,
                scannet=scannet,
                probe3d=preset == "probe3d",
            )
            np.testing.assert_allclose(pair["recalls"], expected, atol=1e-6)
        means = np.mean([pair["recalls"] for pair in scored["pairs"]], axis=0)
        np.testing.assert_allclose(scored["recalls"]["by_threshold"], means, atol=1e-6)
    # Of so smooth a sphere, even random features find some points.
    assert any(0 < recall < 1 for recall in record["backbones"][0]["recalls"]["by_threshold"])


# Laws and values that can be worked out by hand.


def test_a_view_matches_itself_without_error() -> None:
    features = torch.tensor(np.random.default_rng(0).normal(size=(50, 6)))
    found = match_features(features, features, 50)
    assert found.first.tolist() == found.second.tolist()
    assert sorted(found.first.tolist()) == list(range(50))


def test_matches_are_ranked_by_how_much_nearer_the_nearest_neighbour_is() -> None:
    """Angles of 0, 40 and 90 degrees, and queries beside them; lengths do not matter."""

    def directions(*degrees: float) -> torch.Tensor:
        radians = torch.deg2rad(torch.tensor(degrees, dtype=torch.float64))
        return torch.stack([radians.cos(), radians.sin()], 1) * torch.tensor([[3.0], [0.5], [7.0]])

    found = match_features(directions(20, 42, 66), directions(0, 40, 90), 2)
    assert found.first.tolist() == [1, 2]
    assert found.second.tolist() == [1, 2]


def test_errors_are_counted_in_metres_and_in_pixels() -> None:
    """Points at 2 m, moved 1.5 cm and 6 cm sideways: 7.5 and 30 px at a focal length of 1000."""
    points = np.array([[0.0, 0, 2], [0.1, 0, 2]])
    off = points + np.array([[0.015, 0, 0], [0, 0.06, 0]])
    K = np.array([[1000.0, 0, 320], [0, 1000, 240], [0, 0, 1]])
    navi = recalls_of_points(points, off, np.eye(4), K, PROTOCOLS["navi"])
    assert navi == (0, 0.5, 0.5, 0, 0.5, 1)
    # In pixels of a quarter of the size, 1.875 and 7.5.
    assert recalls_of_points(points, off, np.eye(4), K, PROTOCOLS["scannet"]) == (0.5, 1, 1)


def test_pairs_are_averaged_by_their_angle() -> None:
    def score(angle: float, recall: float) -> PairScore:
        return PairScore(first="a", second="b", angle=angle, matches=9, recalls=(0, recall, 1))

    scores = [score(0, 0.2), score(14.9, 0.4), score(15, 0.9), score(100, 0.5)]
    found = mean_recalls(scores, PROTOCOLS["scannet"])
    np.testing.assert_allclose(found.by_threshold, (0, 0.5, 1))
    assert found.pairs_by_angle == (2, 1, 0, 1)
    assert found.by_angle == (pytest.approx(0.3), 0.9, None, 0.5)


# What users see.


@pytest.fixture
def scannet(tmp_path: Path) -> Path:
    write_scannet(tmp_path / "data", (0, 8), [(0, 1), (1, 0)])
    return tmp_path / "data"


def options(root: Path, **changes: Any) -> CorrespondenceOptions:
    given = {"backbones": ["timm/test_resnet"], "weights": "random", "dataset": "scannet-pairs"}
    return CorrespondenceOptions(**{**given, "root": str(root), "device": "cpu", **changes})


def test_results_are_written_as_tables_and_by_pair(scannet: Path, tmp_path: Path) -> None:
    probe_correspondence(options(scannet), tmp_path / "out", show=False)
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"correspondence.json", "pairs.csv", "table.csv", "table.md", "table.tex"}
    rows = list(csv.DictReader((tmp_path / "out" / "pairs.csv").read_text().splitlines()))
    assert [(row["first"], row["second"]) for row in rows] == [
        ("scene0707_00/0", "scene0707_00/15"),
        ("scene0707_00/15", "scene0707_00/0"),
    ]
    np.testing.assert_allclose([float(row["angle [degrees]"]) for row in rows], 8, atol=1e-4)
    table = (tmp_path / "out" / "table.md").read_text()
    assert "recall at 10 px by viewpoint angle" in table
    assert "1/4 of the size" in table


def test_a_limit_takes_pairs_spread_over_the_list(scannet: Path) -> None:
    assert len(probe_correspondence(options(scannet, limit=1), show=False).backbones[0].pairs) == 1


def test_layers_are_joined(scannet: Path) -> None:
    one, two = (
        probe_correspondence(options(scannet, limit=1, layers=layers), show=False).backbones[0]
        for layers in ((2,), (2, 3))
    )
    assert two.layers == (2, 3)
    assert two.channels > one.channels


def test_pairs_that_cannot_be_scored_are_named(
    scannet: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without depth, and with a file that is missing; the exit code is 1."""
    write_scannet(scannet, (0, 8, 16), [(0, 1), (0, 2)])
    Image.fromarray(np.zeros((480, 640), np.uint16)).save(scannet / "scene0707_00/depth/30.png")
    command = ["probe", "correspondence", "-b", "timm/test_resnet", "--weights", "random"]
    command += ["--dataset", "scannet-pairs", "--root", str(scannet), "--device", "cpu"]
    assert main(command) == 1
    assert "1 pair could not be scored" in (said := capsys.readouterr().out)
    assert "0 points with depth" in said
    assert "recall [%]: 5 px" in said
    assert "| " not in said  # Markdown
    (scannet / "scene0707_00/pose/30.txt").unlink()
    assert main(command) == 1
    assert "30.txt is missing" in capsys.readouterr().out
    (scannet / "scene0707_00/pose/15.txt").write_text("inf " * 16)
    with pytest.raises(InputError, match=r"no pair can be scored.*has no pose"):
        probe_correspondence(options(scannet), show=False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbones": []}, "at least one backbone"),
        ({"backbones": ["timm/test_vit", "timm/test_vit"]}, "listed twice"),
        ({"backbones": ["a:B", "c:D"], "weights": "x.pth"}, "only fill one backbone"),
        ({"dataset": "nyuv2"}, "no protocol of its own: choose one"),
        ({"protocol": "navy"}, "navi"),
        ({"matches": 0}, "1 or more"),
        ({"limit": 0}, "1 or more"),
        ({"preset": "old"}, "default"),
    ],
)
def test_options_that_cannot_be_used_are_refused(changes: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        options(Path("data"), **changes)


def test_a_dataset_without_pairs_is_refused(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "depth").mkdir()
    pixels = np.zeros((32, 32, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "images" / "0.png")
    Image.fromarray(np.full((32, 32), 2000, np.uint16)).save(tmp_path / "depth" / "0.png")
    with pytest.raises(OptionError, match="'folder' has no pairs of views"):
        probe_correspondence(options(tmp_path, dataset="folder", protocol="navi"), show=False)


def test_a_sweep_may_still_be_a_file_of_any_other_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "correspondences.toml"]) == 2
    assert "correspondences.toml" in capsys.readouterr().err
