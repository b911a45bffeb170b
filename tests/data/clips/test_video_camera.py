from pathlib import Path

import numpy as np
import pytest

from rilievo.data.clips.footage import VideoData
from rilievo.data.clips.sequence_camera import FrameCalibration, choose_camera
from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.geometry.cameras.camera import Camera, CameraSource

SHAPE = (480, 640)
K = np.array([[520.0, 0, 319.5], [0, 521.0, 239.5], [0, 0, 1]])
BESIDE = FrameCalibration(K=K)
EXIF = Camera(K=np.diag([1040.0, 1040.0, 1.0]), source=CameraSource.EXIF_35MM)


def data(**said: object) -> VideoData:
    return VideoData(roots=("clip",), **said)  # pyright: ignore[reportArgumentType]


def test_what_the_user_says_wins_over_files_and_exif() -> None:
    said = choose_camera(
        data(camera=(500.0, 501.0, 320.0, 240.0)), SHAPE, "clip", file_calibration=BESIDE, exif=EXIF
    )
    assert said.camera.K.tolist() == [[500, 0, 320], [0, 501, 240], [0, 0, 1]]
    assert said.camera.source is CameraSource.GIVEN
    fov = choose_camera(data(fov=90.0), SHAPE, "clip", file_calibration=BESIDE, exif=EXIF)
    assert fov.camera.K[0, 0] == pytest.approx(320)
    assert fov.camera.source is CameraSource.FOV


def test_its_own_file_wins_over_exif_and_exif_over_a_guess() -> None:
    beside = choose_camera(data(), SHAPE, "clip", file_calibration=BESIDE, exif=EXIF)
    np.testing.assert_array_equal(beside.camera.K, K)
    assert choose_camera(data(), SHAPE, "clip", exif=EXIF).camera is EXIF
    guessed = choose_camera(data(), SHAPE, "clip")
    assert guessed.camera.source is CameraSource.ASSUMED
    assert guessed.note is not None
    assert "camera_file" in guessed.note


def test_where_a_focal_length_comes_from_and_that_it_is_held_fixed_is_said_once() -> None:
    note = choose_camera(data(), SHAPE, "clip", exif=EXIF).note
    held = "does not refine it"
    assert note == f"clip: rilievo takes the focal length of 1040 px from EXIF and {held}"
    assert str(choose_camera(data(), SHAPE, "clip").note).count(f" degrees and {held}; give") == 1
    learned = data(learn_camera=True)
    assert "refine" not in str(choose_camera(learned, SHAPE, "clip", exif=EXIF).note)
    assert "refine" not in str(choose_camera(learned, SHAPE, "clip").note)
    assert choose_camera(data(fov=60.0), SHAPE, "clip", exif=EXIF).note is None


def test_a_camera_that_says_its_size_is_scaled_to_the_frames() -> None:
    """A point at the corner of the first pixel stays there: edges map to edges."""
    found = choose_camera(
        data(), (240, 320), "clip", file_calibration=FrameCalibration(K=K, shape=SHAPE)
    )
    expected = [[260, 0, 159.5], [0, 260.5, 119.5], [0, 0, 1]]
    np.testing.assert_allclose(found.camera.K, expected, atol=1e-12)
    assert found.note == (
        "clip: the camera was calibrated at 640x480, so rilievo scales its intrinsics to 320x240"
    )


def test_a_camera_of_frames_that_were_cropped_is_refused() -> None:
    with pytest.raises(
        InputError, match="calibrated for frames of 640x480, but these frames of 640x360"
    ):
        choose_camera(
            data(), (360, 640), "clip", file_calibration=FrameCalibration(K=K, shape=SHAPE)
        )


def test_intrinsics_of_another_size_are_noticed() -> None:
    with pytest.raises(InputError, match=r"frames of 416x128.*about 1220x347.*ratio") as caught:
        choose_camera(data(camera=(721.5, 721.5, 609.6, 172.9)), (128, 416), "clip")
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"frames of 1242x375.*about 417x129"):
        choose_camera(data(camera=(241.7, 246.3, 208.0, 64.0)), (375, 1242), "clip")


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"camera": (0.0, 500.0, 320.0, 240.0)}, "positive focal lengths, got 0,500,320,240"),
        ({"camera": (-500.0, 500.0, 320.0, 240.0)}, "positive focal lengths"),
        ({"camera": (float("nan"), 500.0, 320.0, 240.0)}, "positive focal lengths"),
        ({"camera": (1.0, 1.0, 320.0, 240.0)}, "view of 180 x 180|view of 17"),
        ({"camera": (90000.0, 90000.0, 320.0, 240.0)}, "focal lengths 90000 and 90000 px give"),
        ({"fov": 190.0}, "between 0 and 180"),
        (
            {"fov": 60.0, "camera": (500.0, 500.0, 320.0, 240.0)},
            "camera and fov each set the camera",
        ),
    ],
)
def test_absurd_cameras_are_refused_in_a_line(said: dict[str, object], says: str) -> None:
    with pytest.raises(RilievoError, match=says) as caught:
        choose_camera(data(**said), SHAPE, "clip")
    assert "\n" not in str(caught.value)


def test_a_file_of_the_user_is_read(tmp_path: Path) -> None:
    path = tmp_path / "phone.yaml"
    path.write_text("fx: 500\nfy: 500\ncx: 319.5\ncy: 239.5\ndistortion: [0.1, 0, 0, 0]\n")
    found = choose_camera(data(camera_file=str(path)), SHAPE, "clip")
    assert found.camera.K[0, 0] == 500
    assert found.lens is not None
    with pytest.raises(OptionError, match="camera_file and fov"):
        choose_camera(data(camera_file=str(path), fov=60.0), SHAPE, "clip")


def test_a_principal_point_beyond_all_measure_is_refused_like_another() -> None:
    beside = FrameCalibration(K=np.array([[520.0, 0, 1.7e308], [0, 521.0, 239.5], [0, 0, 1]]))
    with pytest.raises(InputError, match="cx is "):
        choose_camera(data(), SHAPE, "clip", file_calibration=beside)
