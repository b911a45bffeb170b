"""The file of a result that the page shows: numbers of the prediction at every so many-th pixel."""

import json
from io import BytesIO

import numpy as np
import pytest
import skimage.data
from PIL import Image

import rilievo
from rilievo.geometry.borders import Margins
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.spelling import read_spelling
from rilievo.io.json_record import to_json
from rilievo.measure.page_terms import page_terms
from rilievo.models.refinement.trimming import Trimmed, border_note
from rilievo.records.sample import Photo
from rilievo.serving.app.view_file import compress_lattice, view_bytes
from rilievo.serving.server.params import Variant
from support.open_field import open_field
from support.views import read_view


def photograph(border: int) -> Photo:
    picture = Image.fromarray(skimage.data.stereo_motorcycle()[0]).resize((1600, 1200))
    whole = Image.new("RGB", (1600 + 2 * border, 1200 + 2 * border), (255, 255, 255))
    whole.paste(picture, (border, border))
    return Photo(pixels=np.asarray(whole))


@pytest.mark.parametrize("border", [0, 100])
def test_a_large_photograph_has_the_depth_and_nearly_the_normals_of_its_prediction(
    border: int,
) -> None:
    photo = photograph(border)
    model = Variant(name="rilievo/small").refine_model(rilievo.load_model("rilievo/small"))
    [inference] = model.infer([photo])
    prediction = model.finish(inference, photo)
    view = read_view(view_bytes(prediction, "a", model, inference))
    lattice = view.about["lattice"]
    assert lattice["step"] > 1
    grid = tuple(
        slice(lattice[name], None, lattice["step"]) for name in ("first_row", "first_column")
    )
    valid = prediction.depth.valid[grid]
    np.testing.assert_array_equal(view.depth[valid], prediction.depth.values[grid][valid])
    assert prediction.normals is not None
    assert view.normals is not None
    shown = view.normals / 127
    true = np.moveaxis(prediction.normals[:, *grid], 0, 2)
    angles = np.degrees(np.arccos(np.clip((shown * true).sum(axis=2), -1, 1)))
    assert np.median(angles[valid]) < 2
    assert np.percentile(angles[valid], 90) < 10
    if border:
        # At its rim the smaller photograph has pixels of both.
        assert shown[~valid].any(axis=1).mean() < 0.02, "a border has no normal"


@pytest.mark.parametrize("certain", [0.2, 0.9])
def test_ranges_of_the_page_follow_the_confidence_of_the_prediction(certain: float) -> None:
    photo = photograph(0)
    model = rilievo.load_model("rilievo/small")
    [inference] = model.infer([photo])
    prediction = model.finish(inference, photo)
    prediction = prediction.but(confidence=np.full(prediction.shape, certain, np.float32))
    content = view_bytes(prediction, "a", model, inference)
    terms = read_view(content).about["terms"]
    expected = json.loads(to_json(page_terms(prediction)))
    assert {**expected, "floor": None} == {**terms, "floor": None}
    usual = page_terms(prediction.but(confidence=None))
    assert (terms["known_length"] > usual.known_length) == (certain < 0.5), "wider in doubt"


@pytest.mark.parametrize(
    ("projection", "lens", "side"),
    [("equirect", "equirectangular", 2000), ("fisheye:120", None, 1600)],
)
def test_the_page_is_told_a_lens_that_it_draws(
    projection: str, lens: str | None, side: int
) -> None:
    pixels = np.asarray(Image.fromarray(skimage.data.astronaut()).resize((2000, 1000)))
    camera = Camera(lens=read_spelling(projection).lens((1000, 2000)))
    photo, model = Photo(pixels=pixels, camera=camera), rilievo.load_model("rilievo/small")
    [inference] = model.infer([photo])
    result = model.finish(inference, photo)
    view = read_view(view_bytes(result, "a", model, inference))
    about = view.about
    if lens is None:
        assert about["lens"] is None
    else:
        numbers = [about["lens"][name] for name in ("fx", "fy", "cx", "cy")]
        np.testing.assert_allclose(numbers, [1000 / np.pi, 1000 / np.pi, 999.5, 499.5])
        assert about["lens"]["lens"] == lens
        assert about["lens"]["goes_round"]
    shown = Image.open(BytesIO(view.photo))
    assert side / 2 < shown.width <= side


@pytest.mark.parametrize("shrink", [1, 3])
def test_the_sky_stands_between_the_normals_and_the_photograph(shrink: int) -> None:
    photo = Photo(pixels=open_field(1200 // shrink, 1600 // shrink)[0])
    model = Variant(name="rilievo/base").refine_model(rilievo.load_model("rilievo/base"))
    [inference] = model.infer([photo])
    prediction = model.finish(inference, photo)
    view = read_view(view_bytes(prediction, "a", model, inference))
    sky, lattice = view.sky, view.about["lattice"]
    assert sky is not None
    rows, columns, step = (lattice[name] for name in ("rows", "columns", "step"))
    assert prediction.sky is not None
    whole = prediction.sky[step // 2 :: step, step // 2 :: step][:rows, :columns]
    assert (sky[: len(whole), : whole.shape[1]] != whole).mean() < 0.02
    assert 0.3 < sky.mean() < 0.6
    assert view.photo.startswith(b"\xff\xd8")


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 13), (7, 1), (16, 24)])
def test_a_compress_lattice_has_every_bit(height: int, width: int) -> None:
    random = np.random.default_rng(height)
    depth = random.integers(0, 2**32, (height, width), np.uint32).view(np.float32)
    depth.flat[0], depth.flat[-1] = np.nan, np.inf
    normals = random.integers(-127, 128, (3, height, width)).astype(np.int8)
    sky = random.random((height, width)) < 0.5
    for more in (True, False):
        lattice = compress_lattice(depth, normals if more else None, sky if more else None)
        about = {
            "lattice": {"rows": height, "columns": width},
            "packed": len(lattice),
            "normals": more,
            "sky": more,
        }
        head = json.dumps(about).encode()
        view = read_view(len(head).to_bytes(4, "little") + head + lattice + b"photo")
        assert view.depth.tobytes() == depth.tobytes()
        assert view.photo == b"photo"
        if more:
            np.testing.assert_array_equal(view.normals, np.moveaxis(normals, 0, 2))
            np.testing.assert_array_equal(view.sky, sky)


def test_borders_of_a_photograph_are_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []

    def find(pixels: np.ndarray) -> Margins:
        searched.append(id(pixels))
        return Margins(top=4)

    monkeypatch.setattr("rilievo.records.sample.find_margins", find)
    model = Trimmed(rilievo.load_model("rilievo/small"))
    for count in (1, 2):
        photo = Photo(pixels=np.full((64, 96, 3), 90, np.uint8))
        [inference] = model.infer([photo])
        model.finish(inference, photo)
        assert border_note(model, photo)
        assert len(searched) == count
