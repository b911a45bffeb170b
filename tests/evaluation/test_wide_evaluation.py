"""Evaluation on panoramas: models are shown views, and distance is compared with distance."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.evaluation.evaluation_run import evaluate
from rilievo.evaluation.options import EvaluateOptions
from rilievo.models.base import Inference
from rilievo.records.sample import Photo
from support.fixed_depth import FixedDepth


class Sphere(FixedDepth):
    """Depth of a sphere around the camera: its distance is the same everywhere, z is not."""

    def __init__(self) -> None:
        super().__init__(np.ones((2, 2)))
        self.shown: list[Photo] = []

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        self.shown += photos
        answers = []
        for photo in photos:
            assert photo.camera is not None
            ones = np.ones(photo.shape)
            z = ones / np.linalg.norm(photo.camera.points(ones), axis=0)
            answers.append(Inference(depth=(3 * z).astype(np.float32)))
        return answers


def test_a_panorama_of_ones_own_folder_is_evaluated_by_its_rays(tmp_path: Path):
    for part in ("images", "depth"):
        (tmp_path / part).mkdir()
    draw = np.random.default_rng(0)
    for name in ("a", "b"):
        np.save(tmp_path / f"depth/{name}.npy", np.full((128, 256), 5, np.float32))
        pixels = draw.integers(0, 255, (128, 256, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"images/{name}.png")
    (tmp_path / "rilievo.yaml").write_text(
        "depth: {file: 'depth/{id}.npy', kind: distance}\ncamera: {lens: equirect}\n"
    )
    model = Sphere()
    options = EvaluateOptions(dataset="folder", output=tmp_path / "out")
    found = evaluate(model, "depth", tmp_path, options, show=False)
    assert len(model.shown) == 24
    [error] = [each.value for each in found.summaries if each.metric == "abs_rel"]
    assert error < 0.01  # all of the sphere is as far; its z is not
