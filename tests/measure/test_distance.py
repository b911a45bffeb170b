"""Distances from the camera to single points, and what one point alone is taken for."""

import json
import math
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import skimage
from PIL import Image

import rilievo
from rilievo.calibration.points import calibrate, calibration_record
from rilievo.calibration.sizes import KnownPoint
from rilievo.cli import main
from rilievo.errors import CalibrationError, InputError, OptionError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.fisheye import equidistant_fisheye
from rilievo.measure import Measurement, distance, height, length
from rilievo.measure.measurements import Quantity
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import MadeBy
from support.fixed_depth import FixedDepth
from support.sloping_plane import CAMERA, SIZE, map_of, place_on, plane_depth

MADE_BY = MadeBy(model="none", weights_sha256="", licence="", settings={}, version="0")


def noise() -> bytes:
    """A photograph (64, 96) with contrast, as PNG."""
    stream, pixels = BytesIO(), np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def of(depth: np.ndarray, kind: DepthKind = DepthKind.METRIC, **more: object) -> Prediction:
    return Prediction(depth_or_none=map_of(depth, kind), camera=CAMERA, made_by=MADE_BY, **more)


@pytest.mark.parametrize("at", [(20, 30), (79.5, 59.5), (150, 110), (3.25, 4.5)])
def test_a_distance_is_straight_from_the_camera_and_its_range_holds_it(at) -> None:
    found = of(plane_depth()).distance(*at)
    true = float(np.linalg.norm(place_on(*map(round, at))))
    assert found.value == pytest.approx(true, rel=0.01)
    assert found.low < true < found.high
    assert (found.what, found.unit) == ("distance", "m")
    assert found == distance(of(plane_depth()), at)
    # Along the ray it is more than depth along the axis, by the cosine.
    assert found.value >= plane_depth()[round(at[1]), round(at[0])] * 0.999


def test_of_a_lens_that_sees_all_around_depth_is_the_distance() -> None:
    camera = Camera(lens=equidistant_fisheye(SIZE, 200))
    values = np.linspace(1, 3, SIZE[0] * SIZE[1], dtype=np.float32).reshape(SIZE)
    given = Prediction(
        depth_or_none=DepthMap(values=values, kind=DepthKind.METRIC, is_distance=True),
        camera=camera,
        made_by=MADE_BY,
    )
    assert given.distance(30, 40).value == pytest.approx(values[40, 30], rel=1e-3)


def test_without_metres_it_is_a_multiple_of_the_median_distance() -> None:
    given = of(7.3 * plane_depth(), DepthKind.UP_TO_SCALE)
    far = np.linalg.norm(CAMERA.points(plane_depth()), axis=0)
    found = given.distance(20, 30)
    assert found.value == pytest.approx(far[30, 20] / np.median(far), rel=0.01)
    assert found.low < found.value < found.high
    assert str(found).startswith("relative distance: ")
    assert "× the median distance" in str(found)
    assert any("known=[(u, v, metres)]" in each for each in found.remarks)
    # A point far from the median is not more certain than one near it.
    near, other = given.distance(80, 60), given.distance(5, 5)
    if abs(math.log(other.value)) < abs(math.log(near.value)):
        near, other = other, near
    assert other.high / other.low >= (near.high / near.low) * (1 - 1e-9)


@pytest.mark.parametrize("along", ["axis", "ray"])
def test_a_known_distance_measured_again_is_the_known_one(along) -> None:
    known = KnownPoint(u=30, v=100, metres=2.5, along=along)
    fitted = calibrate(of(plane_depth(), DepthKind.UP_TO_SCALE).depth, [known], camera=CAMERA)
    given = Prediction(
        depth_or_none=fitted.depth,
        camera=CAMERA,
        calibration=calibration_record(fitted, [str(known)]),
        made_by=MADE_BY,
    )
    ray = np.linalg.norm(CAMERA.rays(np.array([30.0, 100.0])))
    found = given.distance(30, 100)
    assert calibrate(given.depth, [known], camera=CAMERA).fit.scale == pytest.approx(1)
    assert found.value == pytest.approx(2.5 if along == "ray" else 2.5 * ray, rel=1e-3)
    assert "this distance is known" in found.remarks[0]
    widths = [each.high / each.low for each in (given.distance(36, 100), given.distance(150, 5))]
    assert found.high / found.low < widths[0] < widths[1]


@pytest.mark.parametrize(
    ("at", "kind", "error", "said"),
    [
        ((500, 1), DepthKind.METRIC, CalibrationError, "outside"),
        ((math.nan, 1), DepthKind.METRIC, OptionError, "finite"),
        ((10, 10), DepthKind.AFFINE_INVERSE, InputError, "two or more known distances"),
    ],
)
def test_a_point_without_a_distance_is_refused(at, kind, error, said) -> None:
    with pytest.raises(error, match=said):
        of(plane_depth(), kind).distance(*at)


def test_the_sky_has_no_distance() -> None:
    sky = np.zeros(SIZE, bool)
    sky[:20] = True
    with pytest.raises(CalibrationError, match="is in the sky"):
        of(plane_depth(), sky=sky).distance(10, 10)


def test_one_point_alone_is_neither_a_distance_nor_a_height() -> None:
    with pytest.raises(OptionError, match=r"prediction\.distance\(u, v\).*prediction\.height"):
        of(plane_depth()).measure((10, 10))


@pytest.mark.parametrize(
    ("what", "begins"),
    [
        ("distance", "distance: 0.82 m (0.71 to 0.95)"),
        ("height", "height above the floor: 0.82 m"),
        ("length", "length: 0.82 m"),
        ("area", "area: 0.82 m² (0.71"),
        ("angle", "angle: 0.82° (0.71"),
        ("relative distance", "relative distance: 0.82 × the median distance (0.71"),
    ],
)
def test_a_measurement_begins_with_what_it_is(what, begins) -> None:
    assert str(Measurement(what=Quantity(what), value=0.8213, low=0.7123, high=0.9512)).startswith(
        begins
    )


def test_points_between_0_and_1_are_noted_where_they_are_measured() -> None:
    given = of(plane_depth())
    for found in (given.distance(0.5, 0.25), length(given, (0, 0), (1, 0.25))):
        assert any("fractions of the width" in each for each in found.remarks)
    assert any("write 79.5,29.5" in each for each in given.distance(0.5, 0.25).remarks)
    assert not any("fractions" in each for each in given.distance(20, 30).remarks)
    with pytest.raises(OptionError, match=r"same pixel.*write 31\.5,59\.5"):
        given.measure((0.2, 0.5), (0.8, 0.5))


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("photo") / "motorcycle.png"
    Image.fromarray(skimage.data.stereo_motorcycle()[0]).resize((320, 216)).save(path)
    return str(path)


def test_the_command_says_how_far_it_is(photo: str, capsys: pytest.CaptureFixture[str]) -> None:
    known = ["--known", "150,140,2", "--fov", "50"]
    assert main(["measure", photo, "--distance", "100,150", *known]) == 0
    assert capsys.readouterr().out.startswith("distance: ")
    assert main(["measure", photo, *known, "--distance", "100,150", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    expected = rilievo.predict(photo, known=[(150, 140, 2)], fov=50).distance(100, 150)
    assert (said["what"], said["unit"]) == ("distance", "m")
    assert said["value"] == pytest.approx(expected.value, rel=1e-6)
    assert said["calibration"]["method"] == "known points"
    assert said["calibration"]["asked"] == ["150,140,2"]
    relative = ["measure", photo, "--distance", "100,150", "--fov", "50"]
    assert main(relative) == 0
    assert capsys.readouterr().out.startswith("relative distance: ")
    assert main([*relative, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["calibration"] is said["instrument"] is None


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["9,9", "--known", "9,9,2"], ("--distance U,V", "--height U,V")),
        (["9,9", "--distance", "9,9"], ("--distance", "only one point")),
        (["9,9", "40,9", "--height", "9,9"], ("--height", "only one point")),
        (["--distance", "9,9", "--height", "9,9"], ("--distance", "--height")),
        (["--angle", "--distance", "9,9"], ("--angle", "--distance")),
        (["--distance", "9"], ("'9'", "U,V")),
        ([], ("--distance", "--height", "two points U,V for a length")),
    ],
)
def test_one_point_says_what_it_is_for(photo, words, named, capsys) -> None:
    assert main(["measure", photo, *words]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert all(each in said.err for each in named), said.err


def test_requests_have_the_same_two(tmp_path: Path) -> None:
    served = pytest.importorskip("support.served").served
    with served(tmp_path) as server:
        post = server.client.post
        address = "/v1/measure?known=40,30,2.5&fov=60&distance=20,20"
        said = post(address, content=noise()).json()
        image = np.asarray(Image.open(BytesIO(noise())))
        given = rilievo.predict(image, model=server.model, known=[(40, 30, 2.5)], fov=60)
        assert said["what"] == "distance"
        assert said["value"] == pytest.approx(given.distance(20, 20).value, rel=1e-4)
        answer = post("/v1/measure?known=40,30,2.5&at=20,20", content=noise())
        assert answer.status_code == 400
        assert "distance=U,V" in answer.json()["error"]
        assert "height=U,V" in answer.json()["error"]
        answer = post("/v1/measure?known=40,30,2.5&height=20,20", content=noise())
        assert "floor" in answer.json().get("error", "floor")
        assert answer.json().get("what", "height") == "height"


def test_assistants_measure_a_distance(tmp_path: Path) -> None:
    pytest.importorskip("mcp", reason="the extra 'mcp' is not installed")
    from support.assistant_client import Desktop

    picture = Image.fromarray(skimage.data.stereo_motorcycle()[0]).resize((320, 216))
    picture.save(tmp_path / "bike.png")
    desktop = Desktop(tmp_path, model=rilievo.load_model("rilievo/small"))
    asked = {"photo": "bike.png", "what": "distance", "points": [[0.3, 0.4]]}
    desktop.call("known", photo="bike.png", points=[[0.2, 0.4], [0.6, 0.45]], metres=0.46)
    answer = desktop.call("measure", **asked)
    assert answer.text.startswith("distance: ")
    assert (answer.told["what"], answer.told["unit"]) == ("distance", "m")
    assert "--distance 95.5,85.9" in answer.told["command"]
    again = answer.told["command"].split()
    assert again[:2] == ["rilievo", "measure"]
    refused = desktop.refusal("measure", **{**asked, "points": [[0.3, 0.4], [0.5, 0.5]]})
    assert "one point" in refused


def test_a_height_is_still_one_by_its_name() -> None:
    v = np.arange(SIZE[0])[:, None]
    floor = 1.5 * 140 / np.maximum(v - 59.5, 1e-3)
    room = of(np.broadcast_to(np.minimum(floor, 6.0), SIZE).copy())
    found = height(room, (80, 30))
    assert str(found).startswith("height above the floor: ")


def network_of_two_lengths(factor: float) -> rilievo.Prediction:
    """Network's depth of a wall, with two known lengths of which the second is wrong by a factor.

    The wall is 200 px of focal length away, in its unit, so 40 px are 1 of it at depth 5.
    """
    photo = np.zeros((120, 160, 3), np.uint8)
    camera = rilievo.Camera(
        K=np.array([[200.0, 0, 79.5], [0, 200, 59.5], [0, 0, 1]]), source="given"
    )
    known = ["20,30,60,30,1", f"90,90,130,90,{factor}"]
    model = FixedDepth(np.full((120, 160), 5.0))
    return rilievo.predict(photo, model=model, camera=camera, known=known, trim=False)


@pytest.mark.filterwarnings("ignore:.*known")
def test_a_known_length_is_its_own_value_though_another_one_scales_depth() -> None:
    prediction = network_of_two_lengths(1.2)
    for ends, known in ((((20, 30), (60, 30)), 1.0), (((130, 90), (90, 90)), 1.2)):
        found = prediction.measure(*ends)
        assert found.value == known
        assert found.low <= math.sqrt(1.2) * 1.001
        assert found.high >= math.sqrt(1.2) * 0.999
        assert any("according to the depth, it would be" in remark for remark in found.remarks)


@pytest.mark.filterwarnings("ignore:.*known")
def test_the_range_is_not_narrower_than_the_contradiction_of_two_known_sizes() -> None:
    for what in (lambda each: each.distance(80, 60), lambda each: each.measure((70, 50), (75, 50))):
        found = what(network_of_two_lengths(2.2))
        assert found.high / found.value >= 2.2 * 0.999


def test_the_command_reads_known_points_from_a_table(
    photo: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["measure", photo, "--fov", "50", "--json"]
    table = tmp_path / "known.csv"
    table.write_text(f"file,u,v,metres\n{photo},150,140,2\n{photo},40,30,3.5\n")
    single = ["--known", "150,140,2", "--known", "40,30,3.5"]
    for what in (["--distance", "100,150"], ["--box", "60,40,200,180"]):
        assert main([*place, *what, *single]) == 0
        listed = json.loads(capsys.readouterr().out)
        assert main([*place, *what, "--known", str(table)]) == 0
        assert json.loads(capsys.readouterr().out) == listed
    np.save(tmp_path / "map.npy", np.full(rilievo.read_photo(photo).shape, 2.0))
    from_map = ["--depth", str(tmp_path / "map.npy"), "--kind", "up_to_scale"]
    asked = []
    for known in (single, ["--known", str(table)]):
        assert main([*place, "--distance", "100,150", *from_map, *known]) == 0
        asked.append(json.loads(capsys.readouterr().out))
    assert asked[0] == asked[1]
    table.write_text(f"file,u,v,metres\n{tmp_path / 'other.png'},150,140,2\n")
    (tmp_path / "other.png").touch()
    assert main([*place, "--distance", "100,150", "--known", str(table)]) == 2
    assert "known.csv" in capsys.readouterr().err
