"""The mask of the sky: from the model's answer to files, surfaces and measurements."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.errors import CalibrationError, ModelError
from rilievo.measure import angle, area, height, length
from rilievo.models.base import Inference, WrappedModel
from rilievo.models.refinement.mirror_average import FlipAveraged
from rilievo.models.refinement.mirror_images import mirror, mirror_back
from rilievo.models.refinement.tiling import Tiled
from rilievo.models.refinement.trimming import Trimmed
from rilievo.prediction import Prediction
from rilievo.prediction.saving import save
from rilievo.records.sample import Photo
from support.open_field import open_field
from support.ply_files import read_ply
from support.predictions import HEIGHT, WIDTH, prediction


class Above(WrappedModel):
    """A model that takes what is blue for sky."""

    def __init__(self) -> None:
        super().__init__(rilievo.load_model("rilievo/small"))
        self.card = replace(self.card, sky=True)

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        return [self._marked(photo) for photo in photos]

    def _marked(self, photo: Photo) -> Inference:
        [answer] = self.model.infer([photo])
        assert answer.depth is not None
        size = answer.depth.shape[::-1]
        blue = Image.fromarray(photo.pixels[..., 2]).resize(size, Image.Resampling.BOX)
        return replace(answer, sky=np.asarray(blue, np.float32) / 255)


def under_sky(rows: int = 120, columns: int = 160) -> tuple[Photo, np.ndarray]:
    """Grey noise under a blue sky, higher on the left."""
    v, u = np.mgrid[:rows, :columns]
    sky = v < rows // 3 + u // 8
    pixels = np.random.default_rng(0).integers(60, 120, (rows, columns, 3), dtype=np.uint8)
    pixels[..., 2] = 0
    pixels[sky] = 60, 120, 255
    return Photo(pixels=pixels), sky


@pytest.mark.parametrize("wrap", [lambda model: model, FlipAveraged])
def test_the_mask_has_the_size_of_the_photograph_and_its_place(wrap: type[WrappedModel]) -> None:
    photo, sky = under_sky()
    [found] = wrap(Above()).predict_raw([photo])
    assert found.sky is not None
    assert found.sky.dtype == bool
    assert (found.sky ^ sky).mean() < 0.02
    assert "sky" in repr(found)


def test_tiles_say_it_too() -> None:
    photo, sky = under_sky(240, 320)
    [answer] = Tiled(Above(), 128).infer([photo])
    assert answer.sky is not None
    Above().finish(answer, photo)
    near = np.asarray(Image.fromarray(sky).resize(answer.sky.shape[::-1]))
    assert ((answer.sky > 0.5) ^ near).mean() < 0.03


def test_chances_of_the_mirror_image_come_back_mirrored() -> None:
    photo, _ = under_sky()
    [straight], [back] = Above().infer([photo]), Above().infer([mirror(photo)])
    back = mirror_back(back)
    assert straight.sky is not None
    assert back.sky is not None
    np.testing.assert_allclose(back.sky, straight.sky, atol=0.02)


def test_borders_are_no_sky() -> None:
    photo, _ = under_sky()
    black = np.zeros((160, 160, 3), np.uint8)
    black[20:140] = photo.pixels
    [found] = Trimmed(Above()).predict_raw([black])
    assert found.sky is not None
    assert not found.sky[:20].any()
    assert found.sky[22:50].all()


def test_the_default_says_where_the_sky_is() -> None:
    pixels, sky = open_field()
    found, cat = rilievo.predict(pixels), rilievo.predict(skimage.data.chelsea())
    assert found.sky is not None
    assert cat.sky is not None
    assert (found.sky & sky).sum() > 0.95 * (found.sky | sky).sum()
    assert cat.sky.mean() < 0.01, "a cat indoors"


@pytest.mark.parametrize("name", ["sky", "confidence"])
def test_chances_outside_0_to_1_are_refused(name: str) -> None:
    answer = Inference(**{name: np.full((8, 8), 1.5, np.float32)})
    with pytest.raises(ModelError, match=f"{name} values outside 0 to 1"):
        Above().finish(answer, under_sky()[0])


def with_sky() -> Prediction:
    """A slanted wall whose upper third the model calls sky."""
    sky = np.zeros((HEIGHT, WIDTH), bool)
    sky[:8] = True
    return replace(prediction(holes=False), sky=sky)


def test_surfaces_leave_it_out_and_say_how_much(tmp_path: Path) -> None:
    given = with_sky()
    save(given, tmp_path / "photo", "ply,glb,html")
    points = read_ply(tmp_path / "photo.ply")["vertex"]
    rows = 31 * points["y"] / points["z"] + 11
    assert len(points["x"]) > 400
    assert rows.min() > 7.5
    whole = save(replace(given, sky=None), tmp_path / "whole", "ply")[0]
    assert len(read_ply(whole)["vertex"]["x"]) > 1.4 * len(points["x"])
    for facts in json.loads((tmp_path / "photo.json").read_text())["files"]:
        assert facts["surface"]["sky"] == pytest.approx(8 / HEIGHT, abs=1e-6)
    assert "sky, left out of the surface" in (tmp_path / "photo.html").read_text()
    cloud, mesh = given.points(), given.mesh()
    assert len(cloud.points) == len(points["x"])
    assert mesh.pixels[:, 1].min() >= 8
    assert given.depth.valid.all(), "depth maps keep it"


def test_a_point_on_it_is_not_measured() -> None:
    given = with_sky()
    on, off = (5.0, 3.0), (20.0, 15.0)
    for measured in (
        lambda: length(given, off, on),
        lambda: height(given, on),
        lambda: area(given, [off, (25.0, 20.0), on]),
        lambda: angle(given, on, off),
        lambda: given.measure(on, off),
    ):
        with pytest.raises(CalibrationError, match=r"point 5,3 is in the sky, which has no"):
            measured()
    assert length(given, off, (25.0, 20.0)).value > 0


def test_a_known_point_on_it_is_refused_in_words() -> None:
    photo, _ = under_sky()
    with pytest.raises(CalibrationError, match="known point 80,5,3 is in the sky"):
        rilievo.predict(photo, model=Above(), known=[(80, 5, 3.0)])


def test_the_command_writes_it_or_says_that_the_model_has_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = tmp_path / "rocket.png"
    Image.fromarray(skimage.data.rocket()).save(photo)
    assert main(["predict", str(photo), "-o", str(tmp_path), "--save", "sky"]) == 0
    mask = np.asarray(Image.open(tmp_path / "rocket.sky.png"))
    assert mask.shape == skimage.data.rocket().shape[:2]
    assert set(np.unique(mask)) <= {0, 255}
    capsys.readouterr()
    small = ["-m", "rilievo/small", "--save", "sky", "-o", str(tmp_path / "small")]
    assert main(["predict", str(photo), *small]) == 2
    assert "--save sky needs a sky mask, which model 'rilievo/small' does not predict" in (
        capsys.readouterr().err
    )
