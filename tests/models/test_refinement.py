"""Mirrored averages and tiles of models whose answer is known."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float32

from rilievo.errors import OptionError
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.models.refinement.mirror_average import FlipAveraged
from rilievo.models.refinement.tiling import Tiled, _valid_cell_means
from rilievo.models.resampling.preparation import shrink
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo


class Brightness(Model):
    """Depth is the red channel, seen at a third of the size; each answer has its own scale."""

    weights_sha256 = "0" * 64
    settings = {}  # noqa: RUF012

    def __init__(self, kind: DepthKind = DepthKind.UP_TO_SCALE, scales: bool = False) -> None:
        self.card = ModelCard(
            name="test/red",
            summary="",
            kind=kind,
            normals=True,
            licence="MIT",
            commercial=True,
            megabytes=0.0,
            extra=None,
            speed="",
            loader="",
        )
        self._scales, self._calls = scales, 0

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        return [self._one(photo) for photo in photos]

    def _one(self, photo: Photo) -> Inference:
        self._calls += 1
        scale = 1.7**self._calls if self._scales else 1.0
        red = photo.pixels[1::3, 1::3].astype(np.float32)
        shift = self._calls if self._scales and self.card.kind is DepthKind.AFFINE else 0
        normals = np.stack(
            [red[..., 1] / 255, np.zeros_like(red[..., 0]), -np.ones_like(red[..., 0])]
        )
        return Inference(depth=(red[..., 0] + 1) * scale + shift, normals=normals)


def picture(height: int, width: int) -> Photo:
    v, u = np.mgrid[:height, :width].astype(np.float32)
    red = 60 + 40 * np.sin(u / 17) * np.cos(v / 23) + 80 * u / width
    return Photo(pixels=np.stack([red, 0 * red, red], axis=-1).astype(np.uint8))


def shape_of(depth: Float32[np.ndarray, "h w"] | None) -> np.ndarray:
    assert depth is not None
    return depth / np.median(depth)


@pytest.mark.parametrize("kind", [DepthKind.UP_TO_SCALE, DepthKind.AFFINE])
def test_the_average_with_the_mirror_of_a_symmetric_model_is_its_own_answer(
    kind: DepthKind,
) -> None:
    photo = picture(96, 129)
    [plain] = Brightness(kind).infer([photo])
    [flipped] = FlipAveraged(Brightness(kind, scales=True)).infer([photo])
    assert plain.depth is not None
    assert flipped.depth is not None
    correlation = np.corrcoef(plain.depth.ravel(), flipped.depth.ravel())[0, 1]
    assert correlation > 0.999999


def test_the_mirror_turns_the_normals_x_axis() -> None:
    """A model that sees the same x everywhere is contradicted by its mirror: x cancels."""
    white = Photo(pixels=np.full((48, 48, 3), 255, np.uint8))
    [answer] = FlipAveraged(Brightness()).infer([white])
    assert answer.normals is not None
    np.testing.assert_allclose(answer.normals[0], 0, atol=1e-6)
    np.testing.assert_allclose(answer.normals[2], -1, atol=1e-6)


def test_tiles_of_a_local_model_come_to_the_same_depth_though_each_has_its_own_scale() -> None:
    photo = picture(300, 420)
    [plain] = Brightness().infer([photo])
    [tiled] = Tiled(Brightness(scales=True), 150).infer([photo])
    assert tiled.depth is not None
    assert tiled.depth.shape == (100, 140)
    ratio = shape_of(tiled.depth) / shape_of(plain.depth)
    assert np.abs(ratio - 1).mean() < 0.005
    assert np.abs(ratio - 1).max() < 0.05


def test_tiles_show_what_one_look_at_a_small_size_cannot() -> None:
    class Small(Brightness):
        def _one(self, photo: Photo) -> Inference:
            return super()._one(Photo(pixels=shrink(photo.pixels, (72, 96))))

    photo = picture(600, 800)
    truth = photo.pixels[..., 0].astype(np.float32) + 1

    def error(model: Model) -> float:
        [prediction] = model.predict_raw([photo])
        return float(np.abs(shape_of(prediction.depth.values) / shape_of(truth) - 1).mean())

    assert error(Tiled(Small(), 300)) < error(Small()) / 2


def test_one_tile_that_holds_the_photograph_changes_nothing() -> None:
    photo = picture(90, 120)
    [plain], [tiled] = Brightness().infer([photo]), Tiled(Brightness(), 120).infer([photo])
    assert plain.depth is not None
    assert tiled.depth is not None
    np.testing.assert_array_equal(plain.depth, tiled.depth)


def test_tiles_and_mirror_go_together_and_are_recorded() -> None:
    model = FlipAveraged(Tiled(Brightness(), 100))
    [prediction] = model.predict_raw([picture(200, 260).pixels])
    assert prediction.shape == (200, 260)
    assert {"tile": 100, "flip": True}.items() <= prediction.made_by.settings.items()


def test_tiny_tiles_are_refused() -> None:
    with pytest.raises(OptionError, match="64"):
        Tiled(Brightness(), 20)


class Enlarging(Brightness):
    """Sees everything at 192 x 256, as a network of fixed area does."""

    def _one(self, photo: Photo) -> Inference:
        pixels = shrink(photo.pixels, (192, 256)).astype(np.float32)
        return Inference(depth=pixels[..., 0] + 1)


@pytest.mark.slow
def test_tiles_smaller_than_the_networks_input_make_no_canvas_above_the_photograph() -> None:
    photo = picture(1000, 1500)
    [answer] = Tiled(Enlarging(), 64).infer([photo])
    assert answer.depth is not None
    assert answer.depth.shape == (1000, 1500)


class WithSky(Brightness):
    """Gives no depth, but a number that would be one, where the green channel says sky."""

    def __init__(self, filler: float = 1.0, scales: bool = False) -> None:
        super().__init__(scales=scales)
        self._filler = np.float32(filler)

    def _one(self, photo: Photo) -> Inference:
        answer = super()._one(photo)
        assert answer.depth is not None
        valid = photo.pixels[1::3, 1::3, 1] == 0
        return replace(answer, depth=np.where(valid, answer.depth, self._filler), valid=valid)


def below_sky(height: int, width: int) -> Photo:
    pixels = picture(height, width).pixels.copy()
    pixels[: height // 3, : width // 2, 1] = 255
    return Photo(pixels=pixels)


@pytest.mark.parametrize("filler", [1.0, 0.0, np.nan])
def test_the_mirror_keeps_sky_out_whatever_it_is_filled_with(filler: float) -> None:
    photo = below_sky(96, 129)
    [plain] = WithSky().infer([photo])
    [flipped] = FlipAveraged(WithSky(filler, scales=True)).infer([photo])
    assert plain.depth is not None
    assert flipped.depth is not None
    np.testing.assert_array_equal(flipped.valid, plain.valid)
    ratio = (flipped.depth / plain.depth)[plain.valid]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)


@pytest.mark.parametrize("filler", [1.0, 0.0, np.nan])
def test_tiles_keep_sky_out_whatever_it_is_filled_with(filler: float) -> None:
    photo = below_sky(300, 420)
    [plain] = WithSky().infer([photo])
    model = Tiled(WithSky(filler, scales=True), 150)
    [tiled] = model.infer([photo])
    assert plain.depth is not None
    assert tiled.depth is not None
    np.testing.assert_array_equal(tiled.valid, plain.valid)
    ratio = (tiled.depth / plain.depth)[plain.valid]
    assert np.abs(ratio / np.median(ratio) - 1).max() < 0.05
    finished = model.finish(tiled, photo)
    assert not finished.depth.valid[:98, :208].any()
    assert finished.depth.valid[102:].all()


def test_the_coarse_part_of_a_constant_is_that_constant_however_little_of_a_cell_is_seen() -> None:
    """The mask covers a whole cell, half of its neighbours, and nothing of all others."""
    inside = np.zeros((40, 40), bool)
    inside[:15, :15] = True
    field = np.where(inside, np.float32(3), np.float32(-100))
    np.testing.assert_allclose(_valid_cell_means(field, inside), 3, rtol=1e-5)


class Wavy(Brightness):
    """Depth also depends on the place in what the network is shown, alike to all four sides."""

    def _one(self, photo: Photo) -> Inference:
        answer = super()._one(photo)
        assert answer.depth is not None
        height, width = answer.depth.shape
        v, u = np.mgrid[:height, :width]
        waves = np.cos(9 * ((2 * u + 1) / width - 1)) + np.cos(9 * ((2 * v + 1) / height - 1))
        return replace(answer, depth=(answer.depth * (1 + 0.2 * waves)).astype(np.float32))


@pytest.mark.parametrize("axis", [0, 1])
def test_tiles_of_a_turned_photograph_are_joined_as_those_of_the_photograph(axis: int) -> None:
    photo = picture(240, 240)
    turned = Photo(pixels=np.flip(photo.pixels, axis).copy())
    depth, other = (
        Tiled(Wavy(), 120).infer([photograph])[0].depth for photograph in (photo, turned)
    )
    assert depth is not None
    assert other is not None
    np.testing.assert_allclose(np.flip(other, axis), depth, rtol=1e-4)
