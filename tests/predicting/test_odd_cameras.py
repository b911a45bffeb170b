"""Cameras and points in other units than pixels: read where they are clear, noted where not."""

import json
import math
import re
import warnings
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import skimage.data
from PIL import Image

import rilievo
from rilievo.calibration.camera_checks import pixel_notes
from rilievo.calibration.sizes import KnownLength
from rilievo.cli import main
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.distorted import Distorted
from rilievo.geometry.cameras.fisheye import Fisheye
from rilievo.geometry.cameras.spelling import read_spelling
from rilievo.io.photographs.exif import ExifMetadata, camera_from_exif
from rilievo.options.camera_forms import (
    CameraOptions,
    camera_for_size,
    camera_text,
    parse_camera_without_files,
    read_camera,
)
from rilievo.predicting.photographs.finishing import unit_notes
from rilievo.predicting.photographs.named_camera import with_camera
from rilievo.records.sample import Photo

PIXELS = np.asarray(Image.fromarray(skimage.data.coffee()).resize((300, 200)))
LARGE = Photo(pixels=np.full((400, 600, 3), 99, np.uint8), name="x")


def noise() -> bytes:
    """A photograph (64, 96) with contrast, as PNG."""
    stream, pixels = BytesIO(), np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def notes_of(camera: Any = None, known: Any = (), photo: Photo = LARGE, **view: Any) -> list[str]:
    if camera is not None:
        view["camera"] = camera
    named = CameraOptions(**view)
    photo = with_camera(photo, named.named_camera, named.fov)
    facts = rilievo.PredictOptions(known=known).sizes.known_sizes
    return pixel_notes(photo.camera, photo.shape, facts)


@pytest.mark.parametrize(
    ("text", "size", "focal"),
    [
        # 24 mm on film of 36 x 24 mm: by the diagonal, whatever the proportions.
        ("24mm", (2400, 3600), 2400),
        ("24mm", (3600, 2400), 2400),
        ("50 mm", (300, 400), 50 * 500 / math.hypot(36, 24)),
        ("13.5MM", (400, 300), 13.5 * 500 / math.hypot(36, 24)),
        ("18mm/23.5mm", (400, 600), 18 / 23.5 * 600),
        ("18mm/23.5mm", (600, 400), 18 / 23.5 * 600),
        ("18/23.5mm", (400, 600), 18 / 23.5 * 600),
        (" 4.25 mm / 5.7 mm ", (480, 640), 4.25 / 5.7 * 640),
    ],
)
def test_a_focal_length_in_millimetres_is_of_film_or_of_the_sensors_width(text, size, focal):
    for named in (
        read_camera(text),
        parse_camera_without_files(text),
        CameraOptions(camera=text).named_camera,
    ):
        assert named is not None
        K = camera_for_size(named, size).K
        height, width = size
        assert (K[0, 0], K[1, 1]) == pytest.approx((focal, focal))
        assert (K[0, 2], K[1, 2]) == ((width - 1) / 2, (height - 1) / 2)
        assert read_camera(camera_text(named)) == named


@pytest.mark.parametrize("size", [(3000, 4000), (4000, 3000), (1080, 1920)])
def test_millimetres_are_read_as_exif_states_them(size):
    exif = camera_from_exif(ExifMetadata(focal_35mm=27.0), size)
    named = read_camera("27mm")
    assert exif is not None
    assert named is not None
    np.testing.assert_allclose(camera_for_size(named, size).K, exif.K)


@pytest.mark.parametrize("text", ["0mm", "18mm/0mm", "-24mm", "mm", "24mm/", "1e999mm", "24mmm"])
def test_no_millimetres_are_refused_in_one_line(text):
    with pytest.raises(rilievo.OptionError, match="24mm") as refused:
        CameraOptions(camera=text)
    assert "\n" not in str(refused.value)
    with pytest.raises(rilievo.OptionError, match="24mm"):
        parse_camera_without_files(text)


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        (18, ["field of view of 173.1 degrees", "18 px", "write 18mm", "18mm/WIDTHmm"]),
        ("35", ["field of view of 166.7 degrees", "write 35mm"]),
        (4.2, ["write 4.2mm", "fraction of the width, write 2520"]),
        (0.86, ["fraction of the width, write 516"]),
        ("0.86,1.29,0.5,0.5", ["principal point 0.5,0.5", "write 516,516,299.5,199.5"]),
        ("500,500,0.5,0.5", ["principal point 0.5,0.5", "write 500,500,299.5,199.5"]),
        ([[0.7, 0, 0.48], [0, 1.1, 0.52], [0, 0, 1]], ["write 420,440,287.5,207.5"]),
        ("18,18,300,200", ["field of view of 173.1 degrees", "write 18mm"]),
        ("1050,1050,599,399", ["far from the middle of the 600x400", "1199x799", "@WIDTHxHEIGHT"]),
        ("4.5,4.5,2.74,2.06", ["far from the middle", "all numbers are in pixels"]),
        ("100,100,40.5,0.5", ["far from the middle"]),
        ("250,250,149.5,99.5", ["far from the middle", "300x200"]),
        ("500,500,199.5,299.5", ["a picture of 400x600", "rotated"]),
        (
            "20000",
            ["field of view is only 1.7 degrees", "pictures of another size", "@WIDTHxHEIGHT"],
        ),
        ("pinhole:7000,7000,299.5,199.5", ["field of view is only 4.9 degrees"]),
        ("fisheye:0.3,0.45,0.5,0.5", ["write fisheye:180,180,299.5,199.5,0,0,0,0,180"]),
        ("fisheye:3.1", ["field of view is only 3.1 degrees"]),
    ],
)
def test_a_camera_that_can_hardly_be_meant_is_noted_with_what_to_write(camera, words):
    [note] = notes_of(np.array(camera) if isinstance(camera, list) else camera)
    assert all(each in note for each in words), note
    assert note.isprintable()


def test_a_distorted_lens_that_folds_in_other_units_is_refused_with_what_to_write():
    with pytest.raises(rilievo.InputError, match=r"write opencv:480,480,299\.5,199\.5,-0\.1,"):
        notes_of("opencv:0.8,1.2,0.5,0.5,-0.1,0.0,0,0")


@pytest.mark.parametrize(
    "view",
    [
        *({"camera": each} for each in (500, "24mm", "10mm", "18mm/23.5mm")),
        *({"camera": each} for each in ("500,500,299.5,199.5", 90, 6000)),
        *({"projection": each} for each in ("equirect:300x150", "fisheye:220", "fisheye:155")),
        *({"projection": each} for each in ("fov:150,150,299.5,199.5,2.5", "pinhole")),
        *({"projection": each} for each in ("pinhole:6", "pinhole:150")),
        *({"fov": each} for each in (5.0, 90.0, 150.0)),
        {},
    ],
)
def test_usual_cameras_panoramas_and_fisheyes_get_no_note(view):
    assert notes_of(**view) == []
    assert unit_notes((), None, view.get("fov")) == []


def test_what_a_note_says_to_write_gives_no_note():
    for camera in (0.86, "0.86,1.29,0.5,0.5", "pinhole:0.8,1.2,0.5,0.5"):
        [note] = notes_of(camera)
        meant = re.search(r"write ([a-z]*:?[\d.,e-]+\d)[^m]*$", note)
        assert meant is not None, note
        assert notes_of(meant[1]) == []


@pytest.mark.parametrize(
    ("fov", "words"),
    [(1.04, "in radians, write 60"), (4.0, "read as 4 degrees"), (165.0, "fisheye:165")],
)
def test_an_angle_that_can_hardly_be_meant_is_noted(fov, words):
    [note] = unit_notes((), None, fov)
    assert words in note


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ([(0.5, 0.9, 2)], "0.5,0.9 lies in the top-left corner; if the numbers are fractions of "
         "the width and the height, write 299.5,359.5"),
        (["0.25,0.5,2.5,ray"], "write 149.5,199.5"),
        ([(0.1, 0.2, 0.9, 1, 0.3)], "write 59.5,79.5"),
        ([(0.5, 0.5, 2), (0, 0, 1, 1, 0.3)], "write 299.5,199.5"),
    ],
)  # fmt: skip
def test_points_between_0_and_1_are_noted_with_their_pixels(known, words):
    [note] = notes_of(known=known)
    assert words in note


def test_a_length_between_shares_is_refused_with_the_unit():
    with pytest.raises(rilievo.OptionError, match="in pixels, not in fractions of the width"):
        KnownLength(u1=0.1, v1=0.2, u2=0.9, v2=0.2, metres=0.3)


@pytest.mark.parametrize("known", [(), [(0, 0, 2)], [(0.5, 0.9, 2), (300, 200, 3)], [(0.5, 7, 2)]])
def test_points_in_pixels_get_no_note(known):
    assert notes_of(known=known) == []


@pytest.mark.parametrize(("metres", "right"), [(1650, "1.65"), (165, "1.65"), (3000, "3")])
def test_the_height_of_a_camera_in_another_unit_is_noted_as_it_is_meant(metres, right):
    [note] = unit_notes((), metres, None)
    assert note.endswith(f"write {right}")


def test_python_warns_once_of_each():
    for options, words in (
        ({"camera": 9}, "write 9mm"),
        ({"camera": [[0.8, 0, 0.5], [0, 0.9, 0.5], [0, 0, 1]]}, "principal point 0.5"),
        ({"known": [(0.4, 0.5, 2)]}, "fractions of the width"),
        ({"fov": 160}, "fisheye:160"),
    ):
        with pytest.warns(UserWarning, match=words) as told:
            rilievo.predict(PIXELS, model="rilievo/small", **options)
        assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rilievo.predict(PIXELS, model="rilievo/small", camera="24mm")


def test_the_command_line_its_json_and_measure_tell_the_notes(tmp_path, capsys):
    photo = tmp_path / "photo.png"
    Image.fromarray(PIXELS).save(photo)
    output = ["-o", str(tmp_path / "out"), "-m", "rilievo/small", "--overwrite"]
    assert main(["predict", str(photo), "--camera", "12", "--known", "0.5,0.5,2", *output]) == 0
    told = capsys.readouterr().err
    assert "photo.png: the camera's focal length of 12 px gives" in told
    assert "write 12mm" in told
    assert "write 149.5,99.5" in told
    stated = json.loads((tmp_path / "out" / "photo.json").read_text())
    assert [words for words in ("write 12mm", "149.5,99.5") if words in " ".join(stated["notes"])]
    assert len(stated["notes"]) >= 2
    assert main(["predict", str(photo), "--camera", "24mm", *output]) == 0
    stated = json.loads((tmp_path / "out" / "photo.json").read_text())
    assert stated["camera"]["K"][0][0] == pytest.approx(24 * math.hypot(200, 300) / 43.26662)
    assert stated["run"]["camera"] == "24mm"
    assert "notes" not in stated
    capsys.readouterr()
    asked = ["measure", str(photo), "0.2,0.5", "0.8,0.5", "--camera-height", "1.5", "--camera", "5"]
    main([*asked, "-m", "rilievo/small", "--json"])
    assert "write 5mm" in capsys.readouterr().err


def test_a_video_tells_the_notes(tmp_path):
    pytest.importorskip("av")
    frames = tmp_path / "frames"
    frames.mkdir()
    for index in range(2):
        Image.fromarray(PIXELS).save(frames / f"{index}.png")
    options = rilievo.PredictOptions(
        output=tmp_path / "out", camera=12, sequence=True, model="rilievo/small", save="png16"
    )
    summary = rilievo.predict_files([frames], options, show=False)
    assert summary.failed == 0
    assert len([note for note in summary.notes if "write 12mm" in note]) == 1


def test_the_server_tells_the_notes_in_json_and_headers(tmp_path):
    served = pytest.importorskip("support.served").served
    with served(tmp_path) as server:
        said = server.client.post("/v1/predict?camera=7&at=0.5,0.25", content=noise()).json()
        assert "write camera 7mm" in " ".join(said["notes"]) or "7mm" in " ".join(said["notes"])
        assert "write 47.5,15.5" in " ".join(said["notes"])
        answer = server.client.post("/v1/predict?camera=7&save=npy", content=noise())
        assert "7mm" in answer.headers["x-notes"]
        said = server.client.post("/v1/predict?camera=24mm", content=noise()).json()
        assert said["notes"] == []
        assert said["camera"]["K"][0][0] == pytest.approx(24 * math.hypot(96, 64) / 43.26662)
        said = server.client.post("/v1/predict?camera=18mm/23.5mm", content=noise()).json()
        assert said["camera"]["K"][0][0] == pytest.approx(18 / 23.5 * 96)


def test_a_camera_has_its_numbers_and_its_field_of_view():
    camera = Camera(K=np.array([[500.0, 0, 319.5], [0, 510, 239.5], [0, 0, 1]]))
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (500, 510, 319.5, 239.5)
    assert camera.fov == pytest.approx(2 * math.degrees(math.atan(320 / 500)))
    assert camera.fov == pytest.approx(camera.field_of_view((480, 640)))
    bent = Distorted(fx=500, fy=501, cx=319.5, cy=239.5, k=(-0.1, 0, 0, 0, 0, 0))
    camera = Camera(lens=bent)
    assert (camera.fx, camera.cy) == (500, 239.5)
    assert camera.fov == pytest.approx(camera.field_of_view((480, 640)))
    camera = Camera(lens=Fisheye(fx=200, fy=201, cx=319.5, cy=239.5))
    assert camera.fov == pytest.approx(math.degrees(640 / 200), abs=0.01)
    assert Camera(lens=read_spelling("equirect").lens((100, 200))).fov == pytest.approx(
        360, abs=0.01
    )


@pytest.mark.parametrize(
    ("above", "below", "words"),
    [
        (2, 10, "black at the bottom, .* rows 0 to 89,"),
        (10, 2, "black at the top, .* rows 10 to 99,"),
        (10, 3, "black at the top and bottom, .* rows 10 to 96,"),
    ],
)
def test_black_rows_at_one_pole_say_nothing_of_the_other(above: int, below: int, words: str):
    pixels = np.full((100, 200, 3), 99, np.uint8)
    pixels[:above] = pixels[-below:] = 0
    with pytest.raises(rilievo.InputError, match=words):
        with_camera(Photo(pixels=pixels, name="x"), read_spelling("equirect"), None)


def test_what_was_chosen_in_a_camera_file_is_noted_with_the_photograph(tmp_path):
    path = tmp_path / "calib.txt"
    line = "{}: {} 0 299.5 4 0 500 199.5 0 0 0 1 0\n"
    path.write_text(line.format("P0", 450) + line.format("P2", 500))
    for named in (read_camera(path), CameraOptions(camera=str(path)).named_camera):
        photo = with_camera(LARGE, named, None)
        assert photo.camera is not None
        assert photo.camera.focal == 500
        assert any("rilievo uses P2" in note for note in photo.notes)


def test_a_pinhole_of_a_size_with_its_centre_outside_is_refused():
    with pytest.raises(
        rilievo.InputError, match=r"principal point \(700, 200\) lies outside the 600x400"
    ):
        notes_of("pinhole:500,500,700,200@600x400")


@pytest.mark.parametrize("corners", [0, 99])
@pytest.mark.parametrize("size", [(100, 100), (100, 300)])
def test_a_fisheye_ends_at_its_circle_where_the_picture_is_black_beyond(
    size: tuple[int, int], corners: int
):
    height, width = size
    v, u = np.indices(size)
    beyond = np.hypot(u - (width - 1) / 2, v - (height - 1) / 2) > 50
    pixels = np.where(beyond[..., None], corners, 99).astype(np.uint8).repeat(3, axis=2)
    camera = with_camera(Photo(pixels=pixels, name="x"), read_spelling("fisheye:180"), None).camera
    assert camera is not None
    has_ray = np.isfinite(camera.rays(np.stack([u, v]).astype(float))).all(axis=0)
    np.testing.assert_array_equal(has_ray, ~beyond | (corners > 0))


@pytest.mark.parametrize(("text", "is_noted"), [("6.86mm", True), ("10mm", False)])
def test_a_true_focal_length_of_a_phone_is_noted(text, is_noted):
    notes = with_camera(LARGE, read_camera(text), None).notes
    assert any("write 6.86mm/WIDTHmm" in note for note in notes) == is_noted
    assert with_camera(LARGE, read_camera("6.86mm/9.8mm"), None).notes == ()
