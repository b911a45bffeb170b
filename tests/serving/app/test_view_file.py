"""The file of a result that the page shows: numbers of the prediction at every so many-th pixel."""

import json
from io import BytesIO

import numpy as np
import pytest
import skimage.data
from PIL import Image

import rilievo
from open_field import open_field
from rilievo.geometry.cameras.spelling import spelled
from rilievo.io.json_record import to_json
from rilievo.margins import Margins
from rilievo.measure.terms import terms_of
from rilievo.models.processing.refined import Trimmed, border_note
from rilievo.serving.app.view_file import view_bytes
from rilievo.serving.server.requests.variant import Variant
from rilievo.types import Camera, Photo


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
    model = Variant(name="rilievo/small").refined(rilievo.load_model("rilievo/small"))
    [inference] = model.infer([photo])
    prediction = model.finish(inference, photo)
    content = view_bytes(prediction, "a", model, inference)
    start = 4 + int.from_bytes(content[:4], "little")
    about = json.loads(content[4:start])
    lattice = about["lattice"]
    assert lattice["step"] > 1
    shape = lattice["rows"], lattice["columns"]
    count = shape[0] * shape[1]
    grid = tuple(
        slice(lattice[name], None, lattice["step"]) for name in ("first_row", "first_column")
    )
    depth = np.frombuffer(content, "<f4", count, start).reshape(shape)
    valid = prediction.depth.valid[grid]
    np.testing.assert_array_equal(depth[valid], prediction.depth.values[grid][valid])
    shown = np.frombuffer(content, np.int8, 3 * count, start + 4 * count).reshape(*shape, 3) / 127
    assert prediction.normals is not None
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
    terms = json.loads(content[4 : 4 + int.from_bytes(content[:4], "little")])["terms"]
    expected = json.loads(to_json(terms_of(prediction)))
    assert {**expected, "floor": None} == {**terms, "floor": None}
    usual = terms_of(prediction.but(confidence=None))
    assert (terms["known_length"] > usual.known_length) == (certain < 0.5), "wider in doubt"


@pytest.mark.parametrize(
    ("projection", "lens", "side"),
    [("equirect", "equirectangular", 2000), ("fisheye:120", None, 1600)],
)
def test_the_page_is_told_a_lens_that_it_draws(
    projection: str, lens: str | None, side: int
) -> None:
    pixels = np.asarray(Image.fromarray(skimage.data.astronaut()).resize((2000, 1000)))
    camera = Camera(lens=spelled(projection).lens((1000, 2000)))
    photo, model = Photo(pixels=pixels, camera=camera), rilievo.load_model("rilievo/small")
    [inference] = model.infer([photo])
    result = model.finish(inference, photo)
    content = view_bytes(result, "a", model, inference)
    start = 4 + int.from_bytes(content[:4], "little")
    about = json.loads(content[4:start])
    if lens is None:
        assert about["lens"] is None
    else:
        numbers = [about["lens"][name] for name in ("fx", "fy", "cx", "cy")]
        np.testing.assert_allclose(numbers, [1000 / np.pi, 1000 / np.pi, 999.5, 499.5])
        assert about["lens"]["lens"] == lens
        assert about["lens"]["goes_round"]
    shown = Image.open(BytesIO(content[content.rindex(b"\xff\xd8\xff") :]))
    assert side / 2 < shown.width <= side


@pytest.mark.parametrize("shrink", [1, 3])
def test_the_sky_stands_between_the_normals_and_the_photograph(shrink: int) -> None:
    photo = Photo(pixels=open_field(1200 // shrink, 1600 // shrink)[0])
    model = Variant(name="rilievo/base").refined(rilievo.load_model("rilievo/base"))
    [inference] = model.infer([photo])
    prediction = model.finish(inference, photo)
    content = view_bytes(prediction, "a", model, inference)
    start = 4 + int.from_bytes(content[:4], "little")
    about = json.loads(content[4:start])
    assert about["sky"]
    rows, columns, step = (about["lattice"][name] for name in ("rows", "columns", "step"))
    after = start + 7 * rows * columns
    sky = np.frombuffer(content, np.uint8, rows * columns, after).reshape(rows, columns)
    assert prediction.sky is not None
    whole = prediction.sky[step // 2 :: step, step // 2 :: step][:rows, :columns]
    assert (sky[: len(whole), : whole.shape[1]] != whole).mean() < 0.02
    assert 0.3 < sky.mean() < 0.6
    assert content[after + rows * columns :].startswith(b"\xff\xd8")


def test_borders_of_a_photograph_are_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[int] = []

    def find(pixels: np.ndarray) -> Margins:
        searched.append(id(pixels))
        return Margins(top=4)

    monkeypatch.setattr("rilievo.types.find_margins", find)
    model = Trimmed(rilievo.load_model("rilievo/small"))
    for count in (1, 2):
        photo = Photo(pixels=np.full((64, 96, 3), 90, np.uint8))
        [inference] = model.infer([photo])
        model.finish(inference, photo)
        assert border_note(model, photo)
        assert len(searched) == count
