"""Lenses from calibration files and GPano, their spelling, and refusals in one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.errors import InputError, OptionError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.distorted import Distorted
from rilievo.geometry.cameras.equirectangular import Equirectangular, panorama
from rilievo.geometry.cameras.fisheye import Fisheye
from rilievo.geometry.cameras.fov import Fov
from rilievo.geometry.cameras.spelling import read_spelling, spell_lens
from rilievo.io.cameras.lens_files import read_lens
from rilievo.io.outputs.sidecar import make_sidecar
from rilievo.io.photographs.photo import read_photo
from rilievo.options.camera_forms import camera_for_size, camera_text, read_camera
from rilievo.prediction import Prediction
from rilievo.prediction.readback import read_prediction
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import MadeBy

MADE_BY = MadeBy(model="none", weights_sha256="", licence="", settings={}, version="0")
BENT = Distorted(fx=500, fy=501, cx=320, cy=239, k=(-0.2, 0.05, 0.01, 0, 0, 0), p=(1e-3, 2e-3))
WIDE = Fov(fx=300, fy=301, cx=319.5, cy=239.5, omega=0.9)
ROUND = Fisheye(fx=200, fy=201, cx=319.5, cy=239.5, k=(0.01, -2e-3, 0, 0))


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "lens", [BENT, ROUND, WIDE, panorama((100, 200)), Camera(K=np.diag([50.0, 60, 1])).lens]
)
def test_a_spelled_lens_is_read_as_it_was(lens):
    again = read_spelling(str(spell_lens(lens))).lens((480, 640))
    pixels = np.random.default_rng(0).uniform(0, 100, (2, 50))
    np.testing.assert_allclose(again.rays(pixels), lens.rays(pixels), atol=1e-12)
    assert camera_text(read_camera(str(spell_lens(lens))) or 0.0) == str(spell_lens(lens))


def test_angles_are_from_edge_to_edge_of_the_picture():
    whole = read_spelling("equirect").lens((100, 200))
    assert whole.field_of_view((100, 200)) == pytest.approx(360, abs=0.01)
    part = read_spelling("equirect:90x60").lens((100, 300))
    assert part.field_of_view((100, 300)) == pytest.approx(90, abs=0.01)
    assert part.field_of_view_down((100, 300)) == pytest.approx(60, abs=0.01)
    assert read_spelling("equirect:90").lens((100, 300)).field_of_view_down(
        (100, 300)
    ) == pytest.approx(30, abs=0.01)
    assert read_spelling("fisheye:180").lens((90, 90)).field_of_view((90, 90)) == pytest.approx(
        180, abs=0.01
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("equirect:400", "up to 360 degrees across"),
        ("equirect:360x200", "180 down, got 200"),
        ("fisheye:400", "up to 360 degrees across, got 400"),
        ("fisheye:-3", "got -3"),
        ("fisheye", "needs 1, 4, 8 or 9 numbers, got 0"),
        ("fishey:180", "fisheye"),
        ("opencv:1,2,3", "needs 8, 9 or 12 numbers, got 3"),
        ("pinhole:0,1,2,3", "positive"),
        ("fov:90", "fov needs 5 numbers, got 1"),
        ("fov:300,300,320,240,4", "omega of a FOV lens must be an angle between 0 and 3.14"),
        ("equirect:nan", "got nan"),
        ("", "got ''"),
    ],
)
def test_a_lens_that_is_none_is_refused_in_one_line(text, words):
    with pytest.raises(OptionError, match=r"^projection") as refused:
        read_spelling(text)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_whole_panorama_is_twice_as_wide_as_high():
    with pytest.raises(
        InputError, match="a part of a panorama with square pixels, write equirect:180x180"
    ):
        read_spelling("equirect").lens((500, 500))
    with pytest.raises(InputError, match="equirect:360x90"):
        read_spelling("equirect").lens((500, 2000))
    with pytest.raises(InputError, match="would see 360 degrees vertically"):
        read_spelling("equirect:180").lens((1000, 500))


def test_a_lens_of_another_size_is_scaled_and_of_another_shape_refused():
    lens = read_spelling("opencv:500,500,319.5,239.5,-0.1,0,0,0@640x480")
    half = lens.lens((240, 320))
    assert isinstance(half, Distorted)
    assert half.fx == 250
    assert half.cx == 159.5
    with pytest.raises(
        InputError, match="calibrated for 640x480, which has a different aspect ratio"
    ):
        lens.lens((480, 480))


def test_colmap_cameras_are_read_about_the_centre_of_the_first_pixel(tmp_path):
    text = "# ID\n1 OPENCV 640 480 500 501 320.5 239.5 -0.2 0.05 0.001 0.002\n"
    found = read_lens(written(tmp_path, "cameras.txt", text)).lens((480, 640))
    expected = Distorted(fx=500, fy=501, cx=320, cy=239, k=(-0.2, 0.05, 0, 0, 0, 0), p=(1e-3, 2e-3))
    assert found == expected
    fisheye = "1 OPENCV_FISHEYE 640 480 200 201 320 240 0.01 -0.002 0 0\n"
    assert read_lens(written(tmp_path, "f.txt", fisheye)).lens((480, 640)) == ROUND
    radial = "1 SIMPLE_RADIAL 640 480 500 320.5 239.5 -0.1\n"
    bent = read_lens(written(tmp_path, "r.txt", radial)).lens((480, 640))
    assert isinstance(bent, Distorted)
    assert bent.k[:2] == (-0.1, 0)
    several = "1 PINHOLE 640 480 500 500 320 240\n2 PINHOLE 640 480 600 600 320 240\n"
    with pytest.raises(InputError, match="has 2 cameras"):
        read_lens(written(tmp_path, "two.txt", several))
    fov = "1 FOV 640 480 300 301 320 240 0.9\n"
    assert read_lens(written(tmp_path, "fov.txt", fov)).lens((480, 640)) == WIDE
    straight = read_lens(written(tmp_path, "straight.txt", fov.replace("0.9", "0")))
    assert str(straight) == "pinhole:300,301,319.5,239.5@640x480"
    with pytest.raises(InputError, match="COLMAP's camera model 'THIN_PRISM_FISHEYE'"):
        read_lens(written(tmp_path, "thin.txt", fov.replace("FOV", "THIN_PRISM_FISHEYE")))


RELATIVE = "0.349153 0.436593 0.493140 0.499021 0.933271\n1280 1024\ncrop\n640 480\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # DSO's README: K(0,0) = width fx, K(0,2) = width cx - 0.5, and so on.
        (RELATIVE, "fov:446.91584,447.071232,630.7192,510.497504,0.933271@1280x1024"),
        ("FOV " + RELATIVE, "fov:446.91584,447.071232,630.7192,510.497504,0.933271@1280x1024"),
        ("300 301 319.5 239.5 0.9\n640 480\nnone\n640 480\n", str(spell_lens(WIDE)) + "@640x480"),
        ("Pinhole 300 301 319.5 239.5 0\n640 480\n", "pinhole:300,301,319.5,239.5@640x480"),
        ("300 301 319 239 0\n640 480\nnone\n640 480\n", "pinhole:300,301,319,239@640x480"),
        ("300 301 319 239 -.1 .01 0 0\n640 480\nfull\n640 480\n",
         "opencv:300,301,319,239,-0.1,0.01,0,0@640x480"),
        ("EquiDistant 300 301 319 239 .1 .01 0 0\n640 480\n",
         "fisheye:300,301,319,239,0.1,0.01,0,0@640x480"),
    ],
)  # fmt: skip
def test_calibrations_of_tums_monocular_videos_are_read(tmp_path, text, expected):
    camera = read_lens(written(tmp_path, "camera.txt", text))
    spelling = read_spelling(expected)
    assert (camera.name, camera.size) == (spelling.name, spelling.size)
    assert camera.numbers == pytest.approx(spelling.numbers)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FOV 300 301 319 239 .9 1\n640 480\n", "not a supported DSO lens; expected FOV"),
        ("Omni 300 301 319 239 .9\n640 480\n", "not a supported DSO lens"),
        ("Pinhole 300 301 319 239 .9\n640 480\n", "fifth number of DSO's Pinhole must be 0"),
        ("300 301 319 239 4\n640 480\n", "omega of a FOV lens"),
        ("300 301 319 239 .9\n0 480\n", "line 2: the image size is 0x480; expected sides of 1"),
    ],
)
def test_calibrations_of_dso_that_are_none_are_refused(tmp_path, text, words):
    with pytest.raises(InputError, match=words) as refused:
        read_lens(written(tmp_path, "camera.txt", text))
    assert "\n" not in str(refused.value)


def test_kitti_tum_and_kalibr_files_are_read(tmp_path):
    kitti = "P0: 1 0 2 0 0 1 3 0 0 0 1 0\nP2: 721 0 609 44 0 722 172 0.2 0 0 1 0\n"
    assert read_lens(written(tmp_path, "calib.txt", kitti)).numbers == (721, 722, 609, 172)
    tum = "517.3 516.5 318.6 255.3 0.2624 -0.9531 -0.0054 0.0026 1.1633"
    found = read_lens(written(tmp_path, "tum.txt", tum)).lens((480, 640))
    assert isinstance(found, Distorted)
    assert found.k[:3] == (0.2624, -0.9531, 1.1633)
    pytest.importorskip("yaml")
    kalibr = (
        "cam0:\n  camera_model: pinhole\n  distortion_coeffs: [0.01, -0.002, 0, 0]\n"
        "  distortion_model: equidistant\n  intrinsics: [200, 201, 319.5, 239.5]\n"
        "  resolution: [640, 480]\n"
    )
    assert read_lens(written(tmp_path, "cam.yaml", kalibr)).lens((480, 640)) == ROUND
    wide = kalibr.replace("equidistant", "fov").replace("[0.01, -0.002, 0, 0]", "[0.9]")
    wide = wide.replace("[200, 201", "[300, 301")
    assert read_lens(written(tmp_path, "fov.yaml", wide)).lens((480, 640)) == WIDE
    odd = kalibr.replace("equidistant", "fov")
    with pytest.raises(InputError, match="lens model 'fov' is not supported with 4"):
        read_lens(written(tmp_path, "odd.yaml", odd))


XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" {}/></rdf:RDF></x:xmpmeta>"""
PART = (
    'GPano:ProjectionType="equirectangular" GPano:FullPanoWidthPixels="800" '
    'GPano:FullPanoHeightPixels="400" GPano:CroppedAreaImageWidthPixels="400" '
    'GPano:CroppedAreaImageHeightPixels="200" GPano:CroppedAreaLeftPixels="100" '
    'GPano:CroppedAreaTopPixels="100"'
)


def saved(path: Path, size: tuple[int, int], words: str) -> Path:
    image = Image.new("RGB", size)
    if path.suffix == ".png":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.format(words))
        image.save(path, pnginfo=info)
    else:
        image.save(path, xmp=XMP.format(words).encode())
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_panorama_says_its_part_of_the_sphere(tmp_path, suffix):
    camera = read_photo(saved(tmp_path / f"part{suffix}", (200, 100), PART)).camera
    assert camera is not None
    assert camera.source is CameraSource.GPANO
    # The part is shown at half its size: 200 pixels are half a turn, from -135 degrees.
    assert isinstance(camera.lens, Equirectangular)
    edge = camera.rays(np.array([-0.5, 49.5]))
    assert np.degrees(np.arctan2(edge[0], edge[2])) == pytest.approx(-135)
    assert edge[1] == pytest.approx(0)
    assert camera.field_of_view((100, 200)) == pytest.approx(180, abs=0.01)


def test_a_part_of_the_sphere_without_a_place_is_its_middle(tmp_path):
    words = " ".join(word for word in PART.split() if "Left" not in word and "Top" not in word)
    camera = read_photo(saved(tmp_path / "part.jpg", (200, 100), words)).camera
    assert camera is not None
    np.testing.assert_allclose(camera.rays(np.array([99.5, 49.5])), [0, 0, 1], atol=1e-9)
    assert camera.field_of_view((100, 200)) == pytest.approx(180, abs=0.01)


@pytest.mark.parametrize(
    "words",
    [
        'GPano:ProjectionType="cylindrical"',
        PART.replace('"800"', '"300"'),
        PART.replace('"800"', '"many"'),
        PART.replace('ImageWidthPixels="400"', 'ImageWidthPixels="150"'),
    ],
    ids=["cylinder", "narrow", "no number", "cropped since"],
)
def test_odd_statements_count_as_none(tmp_path, words):
    assert read_photo(saved(tmp_path / "odd.jpg", (200, 100), words)).camera is None


@pytest.mark.parametrize(
    "lens", [BENT, ROUND, WIDE, panorama((60, 120))], ids=lambda each: each.name
)
def test_results_of_any_lens_are_read_back(tmp_path, lens):
    depth = DepthMap(values=np.full((60, 120), 2, np.float32), kind=DepthKind.METRIC)
    prediction = Prediction(depth_or_none=depth, camera=Camera(lens=lens), made_by=MADE_BY)
    assert prediction.depth.is_distance == lens.has_unit_rays
    assert ("distance" in make_sidecar(prediction).depth.meaning) == lens.has_unit_rays
    prediction.save(tmp_path / "room", ["npz", "npy"])
    for name in ("room.npz", "room.json"):
        back = read_prediction(tmp_path / name)
        pixels = np.random.default_rng(0).uniform(0, 60, (2, 50))
        np.testing.assert_allclose(
            back.camera.rays(pixels), prediction.camera.rays(pixels), atol=1e-9
        )
        assert back.depth.is_distance == lens.has_unit_rays
    assert np.load(tmp_path / "room.npz")["lens"].item() == str(spell_lens(lens))
    prediction.save(tmp_path / "surface", ["glb"])
    content = (tmp_path / "surface.glb").read_bytes()
    document = json.loads(content[20 : 20 + int.from_bytes(content[12:16], "little")])
    assert "cameras" not in document
    assert document["scenes"][0]["nodes"] == [0]
    assert document["accessors"][3]["count"] > 300


@pytest.mark.parametrize("text", ["fisheye:180", "equirect", "equirect:180x90"])
def test_a_lens_of_angles_in_a_file_is_that_of_the_picture(tmp_path, text):
    named = read_camera(written(tmp_path, "lens.json", json.dumps({"lens": text})))
    assert named is not None
    assert camera_text(named) == text
    assert camera_for_size(named, (100, 200)).lens == read_spelling(text).lens((100, 200))
