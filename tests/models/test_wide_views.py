"""Wide photographs through a model that knows only perspective views.

The model reads directions: the picture's colour at each pixel is the direction that it sees, so a
view's depth is right wherever it looks, up to the factor, power or shift that a test adds.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

import rilievo
from rilievo.errors import InputError, OptionError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.distorted import Distorted
from rilievo.geometry.cameras.equirectangular import panorama
from rilievo.geometry.cameras.fisheye import equidistant_fisheye
from rilievo.geometry.cameras.fov import Fov
from rilievo.geometry.cameras.lens import Lens
from rilievo.measure import length
from rilievo.models.base import Inference, Model
from rilievo.models.refinement.mirror_average import FlipAveraged
from rilievo.models.refinement.tiling import Tiled
from rilievo.models.resampling.preparation import shrink
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from support.fixed_depth import FixedDepth

ROOM = np.array([2.0, 1.3, 3.0])
AT = np.array([0.4, 0.2, -0.7])
SIZE = (256, 512)
MILD = Distorted(fx=300, fy=300, cx=159.5, cy=119.5, k=(-0.2, 0.03, 0, 0, 0, 0), p=(1e-3, 0))
PICTURES: dict[str, tuple[Lens, tuple[int, int]]] = {
    "panorama": (panorama(SIZE), SIZE),
    "fisheye": (equidistant_fisheye((300, 300), 180), (300, 300)),
    "fov": (Fov(fx=150, fy=150, cx=199.5, cy=149.5, omega=0.95), (300, 400)),
    "part": (panorama((200, 400), horizontal=180, vertical=90), (200, 400)),
    "distorted": (MILD, (240, 320)),
}


def distance(directions: np.ndarray) -> np.ndarray:
    at, room = (each.reshape(3, *[1] * (directions.ndim - 1)) for each in (AT, ROOM))
    with np.errstate(divide="ignore", invalid="ignore"):
        return ((np.sign(directions) * room - at) / directions).min(axis=0)


def rays_of(lens: Lens, shape: tuple[int, int]) -> np.ndarray:
    v, u = np.mgrid[: shape[0], : shape[1]].astype(float)
    return lens.rays(np.stack([u, v]))


def photograph(lens: Lens, shape: tuple[int, int]) -> Photo:
    rays = rays_of(lens, shape)
    unit = np.nan_to_num(rays / np.linalg.norm(rays, axis=0))
    pixels = np.round(unit * 127.5 + 127.5).astype(np.uint8)
    return Photo(pixels=np.ascontiguousarray(np.moveaxis(pixels, 0, 2)), camera=Camera(lens=lens))


class Reader(FixedDepth):
    """Depth of the room in each view, by the directions in its colours."""

    def __init__(self, kind: DepthKind, change: Callable[[np.ndarray, int], np.ndarray]) -> None:
        super().__init__(np.ones((2, 2)))
        object.__setattr__(self.card, "kind", kind)
        self.shown: list[Photo] = []
        self._change = change

    def distance(self, directions: np.ndarray) -> np.ndarray:
        return distance(directions)

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        answers = []
        for photo in photos:
            assert photo.camera is not None
            rays = rays_of(photo.camera.lens, photo.shape)
            unit = np.moveaxis(photo.pixels, 2, 0) / 127.5 - 1
            unit = unit / np.linalg.norm(unit, axis=0)
            z = self.distance(unit) / np.linalg.norm(rays, axis=0)
            self.shown.append(photo)
            answers.append(Inference(depth=self._change(z, len(self.shown)).astype(np.float32)))
        return answers


def error_of(model: Model, name: str) -> float:
    """Mean absolute relative error after one factor, in the whole picture."""
    lens, shape = PICTURES[name]
    depth = model.predict_raw([photograph(lens, shape)])[0].depth
    rays = rays_of(lens, shape)
    length = np.linalg.norm(rays, axis=0)
    true = distance(rays / length) / length
    seen = depth.valid & np.isfinite(length)
    assert seen.mean() > 0.99 * np.isfinite(length).mean()
    ratio = depth.values[seen] / true[seen]
    return float(np.abs(ratio / np.median(ratio) - 1).mean())


@pytest.mark.parametrize("name", PICTURES)
def test_depth_of_a_wide_picture_is_right_up_to_one_factor(name):
    draw = np.random.default_rng(0)
    model = Reader(DepthKind.UP_TO_SCALE, lambda z, _: z * draw.uniform(0.5, 2))
    assert error_of(model, name) < 0.03
    for photo in model.shown:
        assert photo.camera is not None
        assert photo.camera.lens.name == "pinhole"


def test_metres_stay_metres():
    lens, shape = PICTURES["panorama"]
    model = Reader(DepthKind.METRIC, lambda z, _: z)
    depth = model.predict_raw([photograph(lens, shape)])[0].depth
    assert depth.kind is DepthKind.METRIC
    assert depth.is_distance
    true = distance(rays_of(lens, shape))
    assert np.median(np.abs(depth.values / true - 1)) < 0.02


class Shower(Reader):
    """Reader that keeps the picture it saw, and an offset of its logarithm, in its answers."""

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        return [
            replace(answer, network_image=photo.pixels, shift=0.25, camera=photo.camera)
            for answer, photo in zip(super().run_network(photos), photos, strict=True)
        ]


@pytest.mark.parametrize("name", PICTURES)
def test_nothing_of_a_single_view_is_said_of_the_whole(name):
    model = Shower(DepthKind.METRIC, lambda z, _: z)
    [answer] = model.infer([photograph(*PICTURES[name])])
    assert (answer.network_image, answer.shift, answer.camera) == (None, 0, None)
    assert model.shown


def test_contracted_depth_is_stretched_by_what_overlaps_show():
    straight = error_of(Reader(DepthKind.UP_TO_SCALE, lambda z, _: z), "panorama")
    bent = error_of(Reader(DepthKind.UP_TO_SCALE, lambda z, _: z**0.75), "panorama")
    assert bent < straight + 0.05


@pytest.mark.parametrize("kind", [DepthKind.AFFINE, DepthKind.AFFINE_INVERSE])
def test_affine_models_keep_their_kind(kind):
    draw = np.random.default_rng(1)
    inverse = kind is DepthKind.AFFINE_INVERSE

    def affine(z: np.ndarray, _: int) -> np.ndarray:
        return (1 / z if inverse else z) * draw.uniform(0.5, 2) + draw.uniform(-1, 1)

    lens, shape = PICTURES["panorama"]
    depth = Reader(kind, affine).predict_raw([photograph(lens, shape)])[0].depth
    assert depth.kind is kind
    distances = distance(rays_of(lens, shape))
    true = (1 / distances if inverse else distances).ravel()
    scale, shift = np.polyfit(depth.values.ravel(), true, 1)
    error = np.abs(scale * depth.values.ravel() + shift - true) / true
    assert scale > 0
    assert error.mean() < 0.02
    # Overlaps show the scale and the shift of every view, so little is left of that of the whole.
    assert abs(shift) < 0.1 * true.mean()


def test_ordinary_photographs_go_to_the_model_as_they_are():
    model = Reader(DepthKind.UP_TO_SCALE, lambda z, _: z)
    plain = photograph(Camera(K=np.array([[80.0, 0, 50], [0, 80, 40], [0, 0, 1]])).lens, (80, 100))
    wide = photograph(*PICTURES["distorted"])
    first, second = model.infer([wide, plain])
    assert model.shown[0] is plain
    assert second.depth.shape == (80, 100)
    assert first.depth.shape == (240, 320)
    assert len(model.shown) == 2  # mild distortion is one view


def rippled(directions: np.ndarray) -> np.ndarray:
    return distance(directions) * (1 + 0.15 * np.sin(20 * directions).prod(axis=0))


class Coarse(Reader):
    """Reads a room with rippled walls at 24 pixels a side only, however large the view."""

    def distance(self, directions: np.ndarray) -> np.ndarray:
        return rippled(directions)

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        size = (24, 24)
        small = [
            Photo(
                pixels=shrink(photo.pixels, size),
                camera=Camera(lens=photo.camera.lens.resized(size=photo.shape, new_size=size)),
            )
            for photo in photos
            if photo.camera is not None
        ]
        return super().run_network(small)


def test_tiles_show_detail_in_every_view_of_a_panorama():
    draw = np.random.default_rng(2)

    def scaled(z: np.ndarray, _: int) -> np.ndarray:
        return z * draw.uniform(0.7, 1.4)

    coarse = Coarse(DepthKind.UP_TO_SCALE, scaled)
    tiled = Tiled(Coarse(DepthKind.UP_TO_SCALE, scaled), 64)
    photo = photograph(*PICTURES["panorama"])
    true = rippled(rays_of(*PICTURES["panorama"]))
    errors = []
    for model in (coarse, tiled):
        [found] = model.predict_raw([photo])
        ratio = np.log(found.depth.values / true)
        errors.append(ratio - np.median(ratio))
    assert np.abs(errors[1]).mean() < 0.45 * np.abs(errors[0]).mean()
    # There is no step where the left and the right edge meet.
    assert np.abs(errors[1][:, 0] - errors[1][:, -1]).max() < 0.05


def test_tiles_and_mirrors_of_a_panorama_come_to_metres_of_its_size():
    model = FlipAveraged(Tiled(Reader(DepthKind.METRIC, lambda z, _: z), 128))
    [found] = model.predict_raw([photograph(*PICTURES["panorama"])])
    true = distance(rays_of(*PICTURES["panorama"]))
    assert found.depth.is_distance
    assert np.median(np.abs(found.depth.values / true - 1)) < 0.02


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return photograph(*PICTURES["panorama"]).pixels


def test_a_panorama_is_predicted_saved_and_measured(picture, tmp_path):
    model = Reader(DepthKind.METRIC, lambda z, _: z)
    found = rilievo.predict(picture, model=model, projection="equirect")
    assert found.camera is not None
    assert found.camera.lens.name == "equirectangular"
    first, second = (found.camera.project(np.array([x, 0.0, 3.7])) for x in (-1.0, 1.0))
    true = length(found, tuple(first), tuple(second)).value
    assert true == pytest.approx(2, rel=0.05)
    paths = found.save(tmp_path / "room", ["npz", "ply", "colour", "html"])
    assert all(path.exists() for path in paths)
    assert "equirect:" in (tmp_path / "room.html").read_text()
    again = rilievo.read_prediction(tmp_path / "room.npz")
    assert again.depth.is_distance


@pytest.mark.parametrize(
    ("projection", "shape", "words"),
    [
        ("equirect", (256, 256), r"equirect:180x180"),
        ("equirect:400", (256, 512), "up to 360 degrees"),
        ("fisheye:400", (256, 256), "up to 360 degrees"),
        ("opencv:150,150,160,120,-0.5,0,0,0", (240, 320), "folds inside the picture"),
        ("fisheye:60,60,160,120,-0.3,0,0,0", (240, 320), "folds inside the picture"),
        ("lens", (240, 320), "got 'lens'"),
    ],
)
def test_lenses_that_cannot_have_taken_a_picture_are_refused(projection, shape, words, tmp_path):
    pixels = np.random.default_rng(0).integers(30, 220, (*shape, 3), dtype=np.uint8)
    model = Reader(DepthKind.METRIC, lambda z, _: z)
    with pytest.raises((InputError, OptionError), match=words) as refused:
        rilievo.predict(pixels, model=model, projection=projection)
    assert "\n" not in str(refused.value)
    assert not model.shown


def test_black_poles_are_refused_with_the_lens_of_the_rest(picture):
    black = picture.copy()
    black[:40] = 0
    with pytest.raises(InputError, match=r"black at the top.*rows 40 to 255.*equirect:81\.") as no:
        rilievo.predict(black, projection="equirect")
    lens = str(no.value).split("write ")[1].split(" as its lens")[0]
    model = Reader(DepthKind.METRIC, lambda z, _: z)
    found = rilievo.predict(black[40:], model=model, projection=lens)
    true = distance(rays_of(panorama(SIZE), SIZE))[40:]
    assert np.median(np.abs(found.depth.values / true - 1)) < 0.03


def test_a_panorama_taken_for_a_photograph_is_said(picture):
    noise = np.random.default_rng(0).normal(0, 20, (16, 32, 3))
    from PIL import Image

    level = np.clip(np.kron(noise, np.ones((16, 16, 1))) + 128, 0, 255).astype(np.uint8)
    level[:, -16:] = level[:, :16]
    level[:30] = level[-30:] = 128
    smooth = np.asarray(Image.fromarray(level).resize((512, 256)))
    model = FixedDepth(np.ones((16, 32)))
    with pytest.warns(UserWarning, match="looks like a panorama"):
        rilievo.predict(smooth, model=model)


def test_black_corners_end_a_fisheye():
    lens, shape = PICTURES["fisheye"]
    photo = photograph(lens, shape)
    v, u = np.mgrid[:300, :300]
    pixels = photo.pixels.copy()
    pixels[np.hypot(u - 149.5, v - 149.5) > 149] = 0
    model = Reader(DepthKind.METRIC, lambda z, _: z)
    found = rilievo.predict(pixels, model=model, projection="fisheye:180", trim=False)
    assert not found.depth.valid[0, 0]
    assert found.depth.valid[150, 2]
    assert len(model.shown) == 6
