"""Tools of an assistant: what they answer, and what later answers know."""

import base64
import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

import rilievo
from rilievo.measure.measurement_records import measure_points
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.models.outside import OutsideModel
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo

pytest.importorskip("mcp", reason="the extra 'mcp' is not installed")

from support.assistant_client import Desktop, answers

SIZE = 320, 216
"""Width and height."""
LINE = [[0.2, 0.4], [0.6, 0.45]]


@pytest.fixture(scope="module")
def model() -> Model:
    return rilievo.load_model("rilievo/small")


@pytest.fixture
def desktop(tmp_path: Path, model: Model) -> Desktop:
    picture = Image.fromarray(skimage.data.stereo_motorcycle()[0]).resize(SIZE)
    picture.save(tmp_path / "bike.png")
    return Desktop(tmp_path, model=model)


def pixel(point: list[float]) -> tuple[float, float]:
    return point[0] * SIZE[0] - 0.5, point[1] * SIZE[1] - 0.5


def test_a_known_length_gives_later_answers_metres_until_it_is_forgotten(desktop: Desktop) -> None:
    before = desktop.call(
        "measure", photo="bike.png", what="length", points=[[0.3, 0.3], [0.5, 0.7]]
    )
    known = desktop.call("known", photo="bike.png", points=LINE, metres=0.46)
    after = desktop.call(
        "measure", photo="bike.png", what="length", points=[[0.3, 0.3], [0.5, 0.7]]
    )
    assert known.told["is_metric"]
    assert known.told["residuals"] == pytest.approx([0], abs=1e-9)
    assert before.told["unit"] == "camera heights"
    assert after.told["unit"] == "m"
    path = desktop_photo(desktop)
    known_length = (*pixel(LINE[0]), *pixel(LINE[1]), 0.46)
    prediction = rilievo.predict(path, model="rilievo/small", known=[known_length])
    expected = measure_points(prediction, [pixel([0.3, 0.3]), pixel([0.5, 0.7])], "length")
    assert after.told["value"] == pytest.approx(expected.value, rel=1e-6)
    assert after.told["low"] == pytest.approx(expected.low, rel=1e-6)
    forgotten = desktop.call("known", photo="bike.png", forget=True)
    assert forgotten.told["facts"] == []
    again = desktop.call(
        "measure", photo="bike.png", what="length", points=[[0.3, 0.3], [0.5, 0.7]]
    )
    assert again == before


def test_a_known_circle_makes_metres(desktop: Desktop) -> None:
    angles = np.linspace(0, 2 * np.pi, 7)
    rim = np.stack([0.5 + 0.1 * np.cos(angles), 0.5 + 0.1 * np.sin(angles)], axis=1).tolist()
    known = desktop.call("known", photo="bike.png", points=rim, thing="cd", forget=True)
    assert known.told["method"] == "known circles"
    assert known.told["facts"] == ["the circle has a diameter of 0.12 m"]
    told = desktop.call("measure", photo="bike.png", what="length", points=LINE)
    assert "--known-circle" in told.told["command"]
    refusal = desktop.refusal("known", photo="bike.png", points=[[0.5, 0.5]] * 5, metres=1)
    assert "do not lie on an ellipse" in refusal
    desktop.call("known", photo="bike.png", forget=True)


def test_a_known_rectangle_measures_in_its_plane(desktop: Desktop) -> None:
    corners = [[0.2, 0.2], [0.7, 0.2], [0.7, 0.7], [0.2, 0.7]]
    refusal = desktop.refusal(
        "measure", photo="bike.png", what="length", points=LINE, in_plane=True
    )
    assert "give the tool 'known'" in refusal
    known = desktop.call("known", photo="bike.png", points=corners, thing="90cm x 60cm")
    assert known.told["is_metric"]
    assert known.told["method"] == "known rectangles"
    ends = [[0.1, 0.1], [0.9, 0.6]]
    told = desktop.call("measure", photo="bike.png", what="length", points=ends, in_plane=True)
    sheet = rilievo.KnownRectangle(corners=tuple(map(pixel, corners)), sides=(0.9, 0.6))
    prediction = rilievo.predict(desktop_photo(desktop), model="rilievo/small", known=[sheet])
    expected = prediction.measure(*map(pixel, ends), in_plane=True)
    assert told.told["value"] == pytest.approx(expected.value, rel=1e-6)
    assert "without depth" in told.text
    assert "--known-rectangle" in told.told["command"]
    assert "--in-plane" in told.told["command"]
    foot = desktop.call("known", photo="bike.png", points=LINE, metres="1ft", forget=True)
    assert any("0.3048 m" in fact for fact in foot.told["facts"])
    high = desktop.call("known", photo="bike.png", camera_height="5ft", forget=True)
    assert any("1.524 m above" in fact for fact in high.told["facts"])
    for bad, words in (
        ({"camera_height": "5 apples"}, "camera_height"),
        ({"points": corners[:3], "thing": "a4"}, "four corners"),
        ({"points": corners, "metres": 1}, "corners of a rectangle"),
        ({"points": corners[::2] + corners[1::2], "thing": "a4"}, "sides cross"),
        ({"points": LINE, "metres": "1 apple"}, "is not a length"),
    ):
        assert words in desktop.refusal("known", photo="bike.png", **bad)


def desktop_photo(desktop: Desktop) -> Path:
    return Path(
        desktop.call("measure", photo="bike.png", what="angle", points=LINE)
        .told["command"]
        .split()[2]
    )


def test_a_volume_has_its_plane_and_its_unit(desktop: Desktop) -> None:
    """The motorcycle's tank before the wall, whose plane three points give."""
    outline = [[0.3, 0.3], [0.7, 0.3], [0.7, 0.6], [0.3, 0.6]]
    base = [[0.1, 0.1], [0.9, 0.12], [0.5, 0.9]]
    question = {"photo": "bike.png", "what": "volume", "points": outline, "base": base}
    heights = desktop.call("measure", **question)
    assert heights.told["unit"] == "cubic camera heights"
    assert "cubic camera heights" in heights.text
    desktop.call("known", photo="bike.png", points=LINE, metres=0.46)
    told = desktop.call("measure", **question).told
    prediction = rilievo.predict(
        desktop_photo(desktop),
        model="rilievo/small",
        known=[(*pixel(LINE[0]), *pixel(LINE[1]), 0.46)],
    )
    measured = prediction.volume(list(map(pixel, outline)), list(map(pixel, base)))
    assert told["value"] == pytest.approx(measured.value, rel=1e-6)
    assert told["unit"] == "m³"
    assert "--volume --base" in told["command"]


def test_a_fit_needs_a_size_and_says_its_answer(desktop: Desktop) -> None:
    corners = [[0.3, 0.3], [0.7, 0.3], [0.7, 0.6], [0.3, 0.6]]
    question = {"photo": "bike.png", "what": "fit", "points": corners}
    assert "known" in desktop.refusal("measure", **question, object_sides="1x2x3mm")
    desktop.call("known", photo="bike.png", points=LINE, metres=0.46)
    answer = desktop.call("measure", **question, object_sides="1x2x3mm")
    assert answer.told["answer"] == "yes"
    assert answer.text.startswith("fit: yes; an object ")
    assert "--fits 1x2x3mm" in answer.told["command"]
    assert "object_sides" in desktop.refusal("measure", **question)


def test_text_has_the_range_and_its_share(desktop: Desktop) -> None:
    desktop.call("known", photo="bike.png", points=LINE, metres=0.46)
    answer = desktop.call(
        "measure", photo="bike.png", what="length", points=[[0.3, 0.3], [0.5, 0.7]]
    )
    first = answer.text.splitlines()[0]
    result = answer.told
    assert first.startswith("length: ")
    assert first.endswith(" in eight out of ten cases")
    numbers = [float(word) for word in first.replace(",", "").split() if word[0].isdigit()]
    assert numbers == pytest.approx([result["value"], result["low"], result["high"]], abs=0.05)
    assert result["low"] < result["value"] < result["high"]
    assert result["coverage"] == 0.8
    again = desktop.call("measure", photo="bike.png", what="length", points=LINE)
    assert again.text.startswith("length: 0.46 m, as stated")


def test_fractions_and_pixels_name_the_same_points(desktop: Desktop) -> None:
    fractions = desktop.call("measure", photo="bike.png", what="angle", points=LINE)
    pixels = [[*pixel(point)] for point in LINE]
    same = desktop.call("measure", photo="bike.png", what="angle", points=pixels, unit="pixel")
    assert fractions == same
    corners = desktop.call("depth", photo="bike.png", points=[[0, 0], [1, 1]], picture=False)
    assert [each["pixel"] for each in corners.told["points"]] == [[0, 0], [319, 215]]


def test_points_that_a_client_sends_as_text_are_points(desktop: Desktop) -> None:
    text = json.dumps(LINE)
    angle = {"photo": "bike.png", "what": "angle"}
    assert desktop.call("measure", points=text, **angle) == desktop.call(
        "measure", points=LINE, **angle
    )
    known = desktop.call("known", photo="bike.png", points=text, metres=0.46)
    assert known.told["is_metric"]
    depths = desktop.call("depth", photo="bike.png", points=text, picture=False)
    assert len(depths.told["points"]) == 2


def test_a_later_fact_about_the_same_line_replaces_the_earlier(desktop: Desktop) -> None:
    desktop.call("known", photo="bike.png", points=LINE, metres=5)
    found = desktop.call("known", photo="bike.png", points=LINE[::-1], metres=0.46)
    assert len(found.told["facts"]) == 1
    assert "0.46 m" in found.told["facts"][0]


def test_a_thing_has_its_usual_length(desktop: Desktop) -> None:
    thing = desktop.call("known", photo="bike.png", points=LINE, thing="a4")
    said = thing.text
    desktop.call("known", photo="bike.png", forget=True)
    metres = desktop.call("known", photo="bike.png", points=LINE, metres=0.297)
    assert "(a4) is 0.297 m long" in said
    assert thing.told["expected_error"] == metres.told["expected_error"]


def test_a_distance_is_straight_from_the_camera_unless_said_otherwise(desktop: Desktop) -> None:
    by_tape = desktop.call("known", photo="bike.png", points=[[0.1, 0.1]], metres=3.0)
    assert by_tape.told["is_metric"]
    straight = desktop.call("depth", photo="bike.png", points=[[0.1, 0.1]], picture=False)
    desktop.call("known", photo="bike.png", points=[[0.1, 0.1]], metres=3.0, along_ray=False)
    axis = desktop.call("depth", photo="bike.png", points=[[0.1, 0.1]], picture=False)
    assert axis.told["points"][0]["depth"] == pytest.approx(3.0, rel=1e-4)
    assert straight.told["points"][0]["depth"] < 2.9


def test_a_panorama_is_one_when_it_is_said(tmp_path: Path) -> None:
    Image.effect_noise((512, 256), 60).convert("RGB").save(tmp_path / "hall.png")
    desktop = Desktop(tmp_path, model=rilievo.load_model("rilievo/small"))
    plain = desktop.call("depth", photo="hall.png", picture=False)
    assert "along the camera's axis" in plain.text
    told = desktop.call("known", photo="hall.png", projection="equirect")
    assert told.told["facts"] == ["the lens is equirect"]
    wide = desktop.call("depth", photo="hall.png", picture=False)
    assert wide.told["field_of_view"] == 360
    assert "Distance from the camera ranges from" in wide.text
    for projection, words in (("equirect:400", "up to 360 degrees"), ("lens", "got 'lens'")):
        assert words in desktop.refusal("known", photo="hall.png", projection=projection)
    assert "cannot be combined" in desktop.refusal("known", photo="hall.png", fov=60)
    angle = {"photo": "hall.png", "what": "angle", "points": [[0.2, 0.6], [0.7, 0.6]]}
    measured = desktop.call("measure", **angle)
    assert "--projection equirect" in measured.told["command"]


def test_a_refused_fact_is_not_kept(desktop: Desktop) -> None:
    desktop.call("known", photo="bike.png", points=LINE, metres=0.46)
    refusal = desktop.refusal("known", photo="bike.png", camera_height=1.5)
    assert "cannot be combined" in refusal
    desktop.refusal("known", photo="bike.png", fov=400)
    desktop.refusal("known", photo="bike.png", points=[[0.7, 0.4], [0.8, 0.4]], metres=-1)
    kept = desktop.call("known", photo="bike.png", points=LINE, metres=0.46)
    assert len(kept.told["facts"]) == 1


def test_a_file_that_changed_is_another_photograph(desktop: Desktop, tmp_path: Path) -> None:
    desktop.call("known", photo="bike.png", points=LINE, metres=0.46)
    os.utime(tmp_path / "bike.png", (1, 1))
    assert desktop.call("depth", photo="bike.png", picture=False).told["facts"] == []


def test_depth_sends_a_picture_in_which_near_is_red(desktop: Desktop) -> None:
    answer = desktop.call("depth", photo="bike.png")
    [picture] = answer.pictures
    drawn = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    assert drawn.size == SIZE
    prediction = rilievo.predict(desktop_photo(desktop), model="rilievo/small")
    depth = prediction.depth.values
    red = np.asarray(drawn, float) @ [1, 0, -1]
    near, far = depth < np.quantile(depth, 0.2), depth > np.quantile(depth, 0.8)
    assert red[near].mean() > red[far].mean()
    assert answer.told["width"], answer.told["height"] == SIZE
    assert answer.told["model"] == "rilievo/small"


def test_describe_tells_medians_of_the_grid(desktop: Desktop) -> None:
    desktop.call("known", photo="bike.png", points=LINE, metres=0.46)
    answer = desktop.call("describe", photo="bike.png", rows=2, columns=4)
    known_length = (*pixel(LINE[0]), *pixel(LINE[1]), 0.46)
    prediction = rilievo.predict(
        desktop_photo(desktop), model="rilievo/small", known=[known_length]
    )
    cells = {(text["row"], text["column"]): text["depth"] for text in answer.told["cells"]}
    expected = float(np.median(prediction.depth.values[108:, 80:160]))
    assert cells[2, 2] == pytest.approx(expected, rel=1e-4)
    assert answer.told["unit"] == "m"
    assert len(cells) == 8
    nearest = answer.told["nearest"]
    assert nearest["depth"] < min(cells.values())
    assert len(answer.text.splitlines()[1].split()) == 4


def test_a_surface_of_other_facts_is_another_file(desktop: Desktop, tmp_path: Path) -> None:
    first = desktop.call("surface", photo="bike.png")
    same = desktop.call("surface", photo="bike.png")
    desktop.call("known", photo="bike.png", points=LINE, metres=0.46)
    metric = desktop.call("surface", photo="bike.png")
    page = desktop.call("surface", photo="bike.png", format="page")
    output = tmp_path.resolve() / "rilievo-output"
    assert first.told["path"] == same.told["path"] == str(output / "bike.glb")
    assert metric.told["path"] == str(output / "bike-2.glb")
    assert page.told["path"] == str(output / "bike-2.html")
    assert metric.told["unit"] == "m"
    assert metric.told["bytes"] == (output / "bike-2.glb").stat().st_size
    trimesh = pytest.importorskip("trimesh")
    ratio = trimesh.load(metric.told["path"]).extents / trimesh.load(first.told["path"]).extents
    assert ratio == pytest.approx([ratio[0]] * 3, rel=1e-3)


def test_affine_depth_takes_two_facts_the_first_of_which_is_kept(tmp_path: Path) -> None:
    def rows(photo: Photo) -> Inference:
        falling = np.linspace(1, 0.2, 60, dtype=np.float32)
        return Inference(depth=np.repeat(falling[:, None], 80, axis=1))

    card = ModelCard(name="rows", summary="rows", kind=DepthKind.AFFINE_INVERSE, licence="MIT")
    Image.new("RGB", (160, 120), (90, 120, 30)).save(tmp_path / "grey.png")
    desktop = Desktop(tmp_path, model=OutsideModel(card, rows, weights_sha256="0" * 64))
    assert "known distances (the tool 'known')" in desktop.refusal("depth", photo="grey.png")
    first = desktop.refusal("known", photo="grey.png", points=[[0.5, 0.1]], metres=1.0)
    assert "one more is needed" in first
    second = desktop.call("known", photo="grey.png", points=[[0.5, 0.9]], metres=4.0)
    assert second.told["is_metric"]
    assert len(second.told["facts"]) == 2


def test_every_tool_has_a_schema_of_its_answer_and_explains_every_argument() -> None:
    from rilievo.serving.assistant.protocol import TOOLS

    for tool in TOOLS:
        for record in (tool.arguments_type, tool.result_type):
            for name, found in record.model_json_schema()["properties"].items():
                assert found.get("description"), f"{tool.name}: {name}"
        assert tool.title


def test_calls_at_once_are_answered_one_after_the_other(desktop: Desktop) -> None:
    call = ("measure", {"photo": "bike.png", "what": "angle", "points": LINE})
    found = answers(desktop.server, [call] * 4)
    assert len({each.text for each in found}) == 1


@pytest.mark.parametrize("begin", ["data:image/png;base64,", "DATA:;base64,", ""])
def test_a_pasted_picture_is_as_its_file_and_has_a_name_for_later(
    desktop: Desktop, tmp_path: Path, begin: str
) -> None:
    pasted = begin + base64.b64encode((tmp_path / "bike.png").read_bytes()).decode()
    first = desktop.call("describe", photo=pasted)
    assert first.told == desktop.call("describe", photo="bike.png").told
    [name] = re.findall(r"Refer to this picture as '(pasted-[0-9a-f]{12})'", first.text)
    refusal = desktop.refusal("known", photo=pasted, points=LINE, metres=1e9)
    assert refusal.endswith(f"Refer to this picture as '{name}' in later calls.")
    desktop.call("known", photo=name, points=LINE, metres=0.46)
    asked = {"what": "length", "points": LINE}
    by_name = desktop.call("measure", photo=name, **asked)
    assert by_name.told["value"] == pytest.approx(0.46)
    assert "Refer to this" not in by_name.text
    assert desktop.call("measure", photo=pasted, **asked).told == by_name.told
    assert not desktop.call("measure", photo="bike.png", **asked).told["is_metric"]
    assert [path.name for path in tmp_path.iterdir()] == ["bike.png"]
    path = Path(desktop.call("surface", photo=pasted).told["path"])
    assert path == tmp_path / "rilievo-output" / f"{name}.glb"
