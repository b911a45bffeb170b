"""Evaluations and predictions of the toy dataset, as ``view`` and ``report`` take them."""

from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.evaluation.evaluation_run import evaluate
from rilievo.evaluation.options import EvaluateOptions
from rilievo.geometry.cameras.camera import Camera
from rilievo.prediction import Prediction
from rilievo.prediction.saving import save
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import MadeBy
from rilievo.records.sample import Photo
from support.toy_dataset import K, write_toy

NAMES = ("a", "room/b", "c")
LOADER = "support.toy_dataset:Toy"


def true_depth(seed: int) -> np.ndarray:
    """Depth that ``write_toy`` writes, computed again: 1 to 4 m, one metre farther each image."""
    rows = [4 + seed - 3 * row / 47 for row in range(48)]
    return np.repeat(np.array(rows, np.float32)[:, None], 64, axis=1)


def write_run(tmp: Path, model: str, *, error: float = 0.1, kind: str = "metric") -> Path:
    """A finished evaluation of predictions that are too far by ``error`` in the first image."""
    root, folder = tmp / "toy", tmp / f"from-{model.replace('/', '-')}"
    if not root.exists():
        write_toy(root, NAMES)
    for seed, name in enumerate(NAMES):
        path = folder / f"{name}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        depth = true_depth(seed) * np.float32(1 + error / (1 + seed))
        np.save(path, 1 / depth if kind == "affine_inverse" else depth)
    output = tmp / "runs" / model.replace("/", "-")
    options = EvaluateOptions(
        output=output, dataset=LOADER, predictions=folder, kind=kind, workers=1
    )
    evaluate(model, "depth", root, options, show=False)
    return output


def write_results(tmp: Path, folder: str = "results") -> tuple[Path, Path]:
    """Results of ``rilievo predict``, and the photographs that they were made from."""
    photos, results = tmp / "photos", tmp / folder
    for seed, name in enumerate(("one", "room/two")):
        pixels = np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)
        photo = photos / f"{name}.png"
        photo.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(photo)
        normals = np.zeros((3, 48, 64), np.float32)
        normals[2] = -1
        prediction = Prediction(
            depth_or_none=DepthMap(values=true_depth(seed), kind=DepthKind.UP_TO_SCALE),
            normals=normals,
            camera=Camera(K=K),
            photo=Photo(pixels=pixels, name=photo.name),
            made_by=MadeBy(
                model="test/model",
                weights_sha256="ab" * 32,
                licence="Apache-2.0",
                settings={},
                version="1.2.3",
            ),
        )
        run = {"source_bytes": photo.stat().st_size}
        save(prediction, results / name, ["npz"], run=run)
    return photos, results


def write_sunrgbd(root: Path, scenes: int = 2) -> None:
    """Frames as SUN RGB-D has them: millimetres turned left by three bits, stems that differ."""
    for scene in range(scenes):
        folder = root / "kv1" / "NYUdata" / f"NYU{scene + 1:04}"
        for name in ("image", "depth", "depth_bfx"):
            (folder / name).mkdir(parents=True)
        ramp = np.indices((48, 64)).sum(0)[..., None] + np.array([0, 40, 80])
        Image.fromarray(ramp.astype(np.uint8)).save(folder / "image" / f"{folder.name}.jpg")
        millimetres = np.rint(true_depth(scene) * 1000).astype(np.int64)
        turned = (millimetres * 8 % 65536 + millimetres // 8192).astype(np.uint16)
        for name in ("depth", "depth_bfx"):
            Image.fromarray(turned).save(folder / name / f"{scene}_abs.png")
        (folder / "intrinsics.txt").write_text("60 0 31.5\n0 60 23.5\n0 0 1\n")
