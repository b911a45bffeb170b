"""The surface turning for three seconds: what its frames show."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.cameras.equirectangular import Equirectangular
from rilievo.io.outputs.formats.turn import (
    GROUND,
    Scene,
    Turn,
    View,
    draw_turn,
    draw_view,
    first_view,
    make_scene,
    rasterise_view,
)
from rilievo.io.outputs.sidecar import read_sidecar
from rilievo.prediction import Prediction
from rilievo.prediction.saving import SaveOptions, save
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo
from support.analytic import camera_matrix
from support.predictions import MADE_BY

HEIGHT, WIDTH, FOCAL = 48, 64, 60.0
POST = np.s_[12:36, 26:38]
RED, BLUE, WHITE = (200, 30, 30), (40, 60, 180), (240, 240, 240)


def post(*, near: float = 2.0, far: float = 3.0, sky: bool = False) -> Prediction:
    """A red post before a blue wall, or before a white sky."""
    values = np.full((HEIGHT, WIDTH), far, np.float32)
    values[POST] = near
    pixels = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:] = WHITE if sky else BLUE
    pixels[POST] = RED
    mask = np.ones((HEIGHT, WIDTH), bool)
    mask[POST] = False
    K = camera_matrix(HEIGHT, WIDTH, FOCAL)
    return Prediction(
        depth_or_none=DepthMap(values=values, kind=DepthKind.UP_TO_SCALE),
        sky=mask if sky else None,
        camera=Camera(K=K, source=CameraSource.GIVEN),
        photo=Photo(pixels=pixels, name="post.png"),
        made_by=MADE_BY,
    )


def drawn(given: Prediction, yaw: float, options: SaveOptions | None = None) -> np.ndarray:
    assert given.camera is not None
    assert given.photo is not None
    scene = make_scene(given, given.depth, given.camera, given.photo, options or SaveOptions())
    first = first_view(scene)
    return draw_view(scene, View(size=first.size, K=first.K, yaw=yaw))


def share(frame: np.ndarray, colour: tuple[int, int, int]) -> float:
    return float((np.abs(frame.astype(int) - colour).max(axis=-1) < 12).mean())


def frames(path: Path) -> list[np.ndarray]:
    with Image.open(path) as image:
        found = []
        for number in range(image.n_frames):
            image.seek(number)
            found.append(np.asarray(image.convert("RGB")).astype(int))
        return found


def test_three_seconds_begin_at_the_photograph_and_swing_to_both_sides(tmp_path: Path) -> None:
    given = post()
    path, _ = save(given, tmp_path / "post", ["turn"])
    assert path.name == "post.turn.webp"
    with Image.open(path) as image:
        image.load()
        assert (image.n_frames, image.info["duration"], image.info["loop"]) == (60, 50, 0)
        assert image.size == (WIDTH, HEIGHT)
    first, *rest = frames(path)
    assert given.photo is not None
    inner = np.s_[8:-8, 8:-8]
    assert np.abs(first - given.photo.pixels)[inner].mean() < 12

    def middle(frame: np.ndarray) -> float:
        """Column of the red post, relative to the middle of the picture."""
        red = (frame[..., 0] > 120) & (frame[..., 2] < 90)
        return float(np.nonzero(red)[1].mean() - (WIDTH - 1) / 2)

    # The near post goes to one side, then to the other, and is back at the end.
    assert abs(middle(first)) < 1
    assert middle(rest[14]) * middle(rest[44]) < 0
    assert min(abs(middle(rest[14])), abs(middle(rest[44]))) > 1
    assert abs(middle(rest[-1])) < 1
    [facts] = read_sidecar(tmp_path / "post.json").files
    assert facts.surface is not None
    assert facts.surface.triangles > 0


def test_the_photographs_own_view_is_the_photograph() -> None:
    given = post()
    assert given.photo is not None
    frame = drawn(given, 0).astype(int)
    inner = np.s_[1:-1, 1:-1]
    # All but the rim of the post, where pixels are mixed.
    assert (np.abs(frame - given.photo.pixels)[inner].max(axis=-1) < 3).mean() > 0.95


def test_what_the_post_uncovers_is_wall_and_not_a_hole() -> None:
    given = post()
    frame = drawn(given, 8)
    uncovered = frame[14:34, 16:48]
    assert share(uncovered, GROUND) < 0.01
    assert share(uncovered, RED) + share(uncovered, BLUE) > 0.85


def test_the_sky_stays_far_behind(tmp_path: Path) -> None:
    given = post(sky=True)
    frame = drawn(given, 8)
    assert share(frame[4:-4, 16:48], WHITE) > 0.5
    without = drawn(given, 8, SaveOptions(drop="sky"))
    assert share(without, WHITE) == 0
    assert share(without, GROUND) > 0.5


def test_the_sky_has_no_colour_of_what_hides_it_and_no_hole_behind_it() -> None:
    prediction = post(sky=True)
    assert prediction.photo is not None
    # The photograph's red goes on for two pixels in the sky, and the post has a step of its own.
    prediction.photo.pixels[10:38, 24:40] = RED
    values = prediction.depth.values.copy()
    values[POST][:, :2] = 1.5
    prediction = replace(prediction, depth_or_none=replace(prediction.depth, values=values))
    post_alone = 24 * 12 / (HEIGHT * WIDTH)
    assert share(drawn(prediction, 0), RED) < 1.1 * post_alone
    for yaw in (-8, 8):
        frame = drawn(prediction, yaw)[4:-4, 10:-10]
        assert share(frame, GROUND) < 0.002
        assert share(frame, WHITE) > 0.5


def test_each_part_of_the_sky_keeps_its_colour() -> None:
    prediction = post(sky=True)
    assert prediction.photo is not None
    prediction.photo.pixels[HEIGHT // 2 :] = BLUE
    prediction.photo.pixels[POST] = RED
    frame = drawn(prediction, 0)
    assert share(frame[: HEIGHT // 2 - 8, : WIDTH // 3], WHITE) > 0.8
    assert share(frame[HEIGHT // 2 + 8 :, : WIDTH // 3], BLUE) > 0.8


def test_a_sky_too_small_to_have_clear_colours_is_of_one_colour() -> None:
    prediction = post()
    assert prediction.photo is not None
    sky = np.zeros((HEIGHT, WIDTH), bool)
    sky[:3, 30:33] = True
    prediction.photo.pixels[sky] = WHITE
    frame = drawn(replace(prediction, sky=sky), 8)
    # Nothing but the wall and the post shows twice.
    assert share(frame, RED) < 1.2 * share(drawn(post(), 8), RED)
    assert share(frame, WHITE) > 0


def test_a_large_photograph_makes_frames_of_480_pixels() -> None:
    given = post()
    assert given.photo is not None
    double = {
        "depth_or_none": DepthMap(
            values=given.depth.values.repeat(10, 0).repeat(10, 1), kind=DepthKind.UP_TO_SCALE
        ),
        "photo": Photo(pixels=given.photo.pixels.repeat(10, 0).repeat(10, 1), name="large.png"),
        "camera": Camera(K=camera_matrix(10 * HEIGHT, 10 * WIDTH, 10 * FOCAL)),
    }
    large = replace(given, **double)
    frame = drawn(large, 0)
    assert frame.shape == (360, 480, 3)
    shown = np.asarray(Image.fromarray(double["photo"].pixels).resize((480, 360))).astype(int)
    assert np.abs(frame.astype(int) - shown)[2:-2, 2:-2].mean() < 1


def test_in_a_panorama_one_stands_and_looks_around() -> None:
    height, width = 60, 120
    focal = width / (2 * np.pi)
    lens = Equirectangular(fx=focal, fy=focal, cx=(width - 1) / 2, cy=(height - 1) / 2)
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = 2 * np.arange(width)
    pixels[..., 1] = 4 * np.arange(height)[:, None]
    sample = Prediction(
        depth_or_none=DepthMap(
            values=np.full((height, width), 2, np.float32), kind=DepthKind.METRIC
        ),
        camera=Camera(lens=lens),
        photo=Photo(pixels=pixels, name="around.jpg"),
        made_by=MADE_BY,
    )
    assert sample.camera is not None
    assert sample.photo is not None
    scene = make_scene(sample, sample.depth, sample.camera, sample.photo, SaveOptions())
    first = first_view(scene)
    for yaw in (0, 25, -25):
        raster = rasterise_view(scene, replace(first, yaw=yaw))
        assert (raster.inverse_depth > 0).all()
        # The middle of the window sees the ray that it is turned to.
        row, column = (side // 2 for side in first.size)
        expected = (width - 1) / 2 - yaw / 360 * width
        assert raster.pixels[0, row, column] == pytest.approx(expected, abs=0.5)
        assert raster.pixels[1, row, column] == pytest.approx((height - 1) / 2, abs=0.5)


def test_the_video_has_the_same_frames(tmp_path: Path) -> None:
    av = pytest.importorskip("av", reason="PyAV is not installed")
    path, _ = save(post(), tmp_path / "post", ["turn-mp4"])
    assert path.name == "post.turn.mp4"
    with av.open(str(path)) as container:
        [stream] = container.streams.video
        assert (stream.codec_context.name, stream.average_rate) == ("h264", 20)
        shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(shown) == 60
    same = frames(save(post(), tmp_path / "post", ["turn"])[0])
    assert np.abs(shown[15].astype(int) - same[15]).mean() < 8


def test_both_files_of_a_turn_are_drawn_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("av", reason="PyAV is not installed")
    alone = [save(post(), tmp_path / name, [name])[0].read_bytes() for name in ("turn", "turn-mp4")]
    scenes = []

    def counted(scene: Scene) -> Turn:
        scenes.append(scene)
        return draw_turn(scene)

    monkeypatch.setattr("rilievo.io.outputs.formats.turn.draw_turn", counted)
    *both, _ = save(post(), tmp_path / "both", ["turn", "turn-mp4"])
    assert len(scenes) == 1
    assert [path.read_bytes() for path in both] == alone


def test_without_a_surface_one_line_says_so_and_nothing_is_written(tmp_path: Path) -> None:
    given = replace(post(), sky=np.ones((HEIGHT, WIDTH), bool))
    with pytest.raises(InputError, match=r"post\.png: nothing to show in the turntable clip"):
        save(given, tmp_path / "post", ["turn"])
    assert not [*tmp_path.iterdir()]
