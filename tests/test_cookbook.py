"""The programs of the cookbook that need others' packages: what can be run of them here."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.cli.example import EXAMPLES
from support.relief import Relief

ROOT = Path(__file__).parents[1]
COOKBOOK = (ROOT / "docs/cookbook.md").read_text("utf-8")


def example(name: str) -> ModuleType:
    found = importlib.util.spec_from_file_location(f"example_{name}", ROOT / f"examples/{name}.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_what_cannot_be_run_here_is_python_at_least_and_every_script_is_there() -> None:
    programs = re.findall(r"^```py\n(.*?)^```", COOKBOOK, re.DOTALL | re.MULTILINE)
    assert len(programs) == 3
    for code in (*programs, (ROOT / "examples/blender_import.py").read_text("utf-8")):
        compile(code, "cookbook", "exec")
    names = set(re.findall(r"^rilievo example (\w+)", COOKBOOK, re.MULTILINE))
    assert names == {"blender", "colmap", "ros2"}
    for name in names:
        assert f" {EXAMPLES[name]} " in COOKBOOK
    assert len(re.findall(r"^## ", COOKBOOK, re.MULTILINE)) == 11


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("ros2_depth_node", (), "this program needs ROS 2, but there is no Python package rclpy"),
        ("blender_import", ("--", "photo.glb"), "run this program in Blender: blender --python"),
    ],
)
def test_an_example_without_its_program_says_so_in_one_line(
    name: str, arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    module = {"ros2_depth_node": "rclpy", "blender_import": "bpy"}[name]
    # Also where the program is installed.
    (tmp_path / f"{module}.py").write_text(f"raise ModuleNotFoundError('no', name='{module}')")
    program = ROOT / f"examples/{name}.py"
    done = subprocess.run(
        [sys.executable, str(program), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), *sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(words)


def test_blender_without_a_surface_says_how_to_name_one(tmp_path: Path) -> None:
    (tmp_path / "bpy.py").touch()
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples/blender_import.py")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("no surface is given: blender --python")


WIDTH, HEIGHT, FOCAL = 160, 120, 140.0
SCALE = 3.7
"""Scale of the reconstruction, relative to the network's depth."""


@pytest.fixture
def reconstruction(tmp_path: Path) -> Path:
    """Two photographs, the second moved and turned, and points where the network's depth is."""
    depth = SCALE * Relief.relief((HEIGHT // 2, WIDTH // 2))
    camera = f"1 PINHOLE {WIDTH} {HEIGHT} {FOCAL} {FOCAL} {WIDTH / 2} {HEIGHT / 2}\n"
    (tmp_path / "cameras.txt").write_text(f"# made up\n{camera}")
    turned = np.array([[0.0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # 90 degrees about y
    half = 0.5**0.5
    poses = (
        (np.eye(3), np.zeros(3), "1 0 0 0"),
        (turned, np.array([1.0, 2, 3]), f"{half} 0 {half} 0"),
    )
    lines, points = ["# made up"], ["# made up"]
    for number, (R, t, quaternion) in enumerate(poses, 1):
        ids = []
        for row in range(5, 55, 10):
            for column in range(5, 75, 10):
                z = depth[row, column]
                # Centre of the pixels 2 row, 2 row + 1 and 2 column, 2 column + 1.
                x, y = (
                    (2 * column + 1 - WIDTH / 2) * z / FOCAL,
                    (2 * row + 1 - HEIGHT / 2) * z / FOCAL,
                )
                world = R.T @ (np.array([x, y, z]) - t)
                ids.append(len(points))
                points.append(f"{ids[-1]} {world[0]} {world[1]} {world[2]} 1 2 3 0.5 {number} 0")
        lines.append(f"{number} {quaternion} {t[0]} {t[1]} {t[2]} 1 {number}.png")
        lines.append(" ".join(f"1.0 1.0 {id}" for id in ids) + " 7 7 -1")
        Image.fromarray(np.full((HEIGHT, WIDTH, 3), 120, np.uint8)).save(tmp_path / f"{number}.png")
    (tmp_path / "images.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "points3D.txt").write_text("\n".join(points) + "\n")
    return tmp_path


def test_priors_have_the_scale_of_the_reconstruction(
    reconstruction: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    priors = example("colmap_priors")
    output = tmp_path / "priors"
    priors.main(reconstruction, reconstruction, output, Relief())
    content = json.loads((output / "transforms.json").read_text())
    assert len(content["frames"]) == 2
    expected = SCALE * Relief.relief((HEIGHT // 2, WIDTH // 2))
    for number, frame in enumerate(content["frames"], 1):
        depth = np.load(frame["depth_file_path"])
        assert depth.shape == (HEIGHT, WIDTH)
        middle = depth[1::2, 1::2] / 1000
        assert np.median(np.abs(middle / expected - 1)) < 0.02
        assert np.load(output / f"normals/{number}.png.npy").shape == (HEIGHT, WIDTH, 3)
        assert Path(frame["file_path"]).name == f"{number}.png"
    first, second = (np.array(frame["transform_matrix"]) for frame in content["frames"])
    np.testing.assert_allclose(first, np.diag([1.0, -1, -1, 1]), atol=1e-9)
    # The second camera is at -R' t, and looks along the world's -x.
    np.testing.assert_allclose(second[:3, 3], [3, -2, -1], atol=1e-9)
    np.testing.assert_allclose(-second[:3, 2], [-1, 0, 0], atol=1e-9)


class StandIn:
    """A node of rclpy as far as the example uses one."""

    def __init__(self, name: str) -> None:
        self.name, self.published, self.heard = name, [], {}
        self.values: dict[str, Any] = {}

    def declare_parameter(self, name: str, value: object) -> None:
        self.values.setdefault(name, value)

    def get_parameter(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(value=self.values[name])

    def get_logger(self) -> SimpleNamespace:
        return SimpleNamespace(warning=self.published.append)

    def create_publisher(self, kind: type, topic: str, quality: object) -> SimpleNamespace:
        return SimpleNamespace(publish=lambda message: self.published.append((topic, message)))

    def create_subscription(self, kind: type, topic: str, call: Any, quality: object) -> None:
        self.heard[topic] = call


@pytest.fixture
def robot(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    message = type("Image", (SimpleNamespace,), {})

    def empty_grid() -> SimpleNamespace:
        """A new OccupancyGrid has all its parts, with zeros."""
        pose = SimpleNamespace(position=SimpleNamespace(), orientation=SimpleNamespace())
        return SimpleNamespace(info=SimpleNamespace(origin=pose))

    modules = {
        "rclpy": {},
        "rclpy.node": {"Node": StandIn},
        "rclpy.qos": {"qos_profile_sensor_data": None},
        "sensor_msgs": {},
        "sensor_msgs.msg": {"Image": message, "CameraInfo": message, "LaserScan": message},
        "nav_msgs": {},
        "nav_msgs.msg": {"OccupancyGrid": empty_grid},
        "std_msgs": {},
        "std_msgs.msg": {"Header": message},
    }
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(rilievo, "load_model", lambda name: Relief())
    return example("ros2_depth_node")


def test_the_ros_node_answers_an_image_with_depth_of_its_stamp(
    robot: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    cameras: list[np.ndarray] = []

    def predict(*arguments: Any, camera: np.ndarray, **options: Any) -> Any:
        cameras.append(camera)
        # What is looked for in each image alone makes the depth of a video jump.
        assert not options["trim"]
        assert not options["manhattan"]
        return predict_with_rilievo(*arguments, camera=camera, **options)

    predict_with_rilievo = rilievo.predict
    monkeypatch.setattr(rilievo, "predict", predict)
    node = robot.DepthNode()
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    padded = np.pad(pixels[..., ::-1].reshape(HEIGHT, -1), ((0, 0), (0, 8)))
    image = robot.Image(
        header="stamp 7", height=HEIGHT, width=WIDTH, step=padded.shape[1], encoding="bgr8",
        data=padded.tobytes(),
    )  # fmt: skip
    np.testing.assert_array_equal(robot.pixels_of(image), pixels)
    node.heard["image"](image)
    assert len(node.published) == 1, "the warning alone: nothing is known of the camera yet"
    K_raw, P = [90, 0, 80, 0, 90, 60, 0, 0, 1], [100, 0, 80, 0, 0, 100, 60, 0, 0, 0, 1, 0]
    node.heard["camera_info"](robot.CameraInfo(k=K_raw, p=P, header=None))
    node.heard["image"](image)
    _, (topic, answer), (beside, info) = node.published
    assert (topic, beside) == ("depth/image", "depth/camera_info")
    assert (answer.header, info.header, answer.encoding) == ("stamp 7", "stamp 7", "32FC1")
    depth = np.frombuffer(answer.data, "<f4").reshape(answer.height, answer.width)
    told = predict_with_rilievo(pixels, model=Relief())
    np.testing.assert_array_equal(depth, told.depth.values)
    node.heard["camera_info"](robot.CameraInfo(k=K_raw, p=[0] * 12, header=None))
    node.heard["image"](image)
    # P is the camera of rectified images; K counts where P is empty.
    rectified, raw = cameras
    np.testing.assert_array_equal(rectified, [[100, 0, 80], [0, 100, 60], [0, 0, 1]])
    np.testing.assert_array_equal(raw, np.reshape(K_raw, (3, 3)))
    grey = robot.Image(height=2, width=3, step=3, encoding="mono8", data=bytes(range(6)))
    assert robot.pixels_of(grey)[1, 2].tolist() == [5, 5, 5]
    with pytest.raises(ValueError, match="16UC1"):
        robot.pixels_of(robot.Image(encoding="16UC1"))


def depth_prediction(depth: np.ndarray) -> rilievo.Prediction:
    photo = np.zeros((*depth.shape, 3), np.uint8)
    return rilievo.Prediction.from_depth(photo, depth.astype(np.float32), FOCAL)


K_SCAN = np.array([[FOCAL, 0, (WIDTH - 1) / 2], [0, FOCAL, (HEIGHT - 1) / 2], [0, 0, 1]])


def scan_of(robot: ModuleType, depth: np.ndarray, *, rows: int = 10, max_range: float = 8.0) -> Any:
    header = robot.Header(stamp="stamp 7", frame_id="camera_frame")
    return robot.scan_of(depth_prediction(depth), K_SCAN, rows, max_range, header)


def angles_of(scan: Any) -> np.ndarray:
    return scan.angle_min + scan.angle_increment * np.arange(len(scan.ranges))


def test_the_scan_of_a_wall_is_its_distance_over_the_cosine(robot: ModuleType) -> None:
    scan = scan_of(robot, np.full((HEIGHT, WIDTH), 2.0))
    angles = angles_of(scan)
    half_view = np.arctan((WIDTH - 1) / 2 / FOCAL)
    assert scan.angle_min == pytest.approx(-half_view)
    assert scan.angle_max == pytest.approx(half_view, abs=1 / FOCAL)
    assert angles[-1] == pytest.approx(scan.angle_max)
    # A beam has the nearest of the pixels in it, which are up to half a beam away.
    np.testing.assert_allclose(scan.ranges, 2 / np.cos(angles), rtol=0.005)
    assert scan.range_min < 2 < scan.range_max


def test_the_scan_has_the_left_at_positive_angles_and_inf_for_none(robot: ModuleType) -> None:
    depth = np.full((HEIGHT, WIDTH), 20.0)
    depth[:, :20] = 3  # on the left
    depth[HEIGHT // 2 + 2, :20] = 1.5  # a bar before it
    depth[: HEIGHT // 2 - 6] = 0.5  # above the band
    depth[HEIGHT // 2 + 6 :] = 0.5  # the floor, below it
    scan = scan_of(robot, depth)
    ranges, angles = np.array(scan.ranges), angles_of(scan)
    border = -np.arctan((20 - (WIDTH - 1) / 2) / FOCAL)
    assert np.isfinite(ranges[angles > border + 0.01]).all()
    assert (ranges[angles < border - 0.01] == np.inf).all()
    assert ranges[-1] == pytest.approx(1.5 * np.hypot(1, (WIDTH - 1) / 2 / FOCAL), rel=1e-3)


def test_the_grid_does_not_free_what_is_unknown_or_too_near(robot: ModuleType) -> None:
    depth = np.full((HEIGHT, WIDTH), 20.0)
    depth[:, :40] = 0.01  # on the left, nearer than the least range
    depth[:, 120:] = 0  # on the right, unknown
    scan = scan_of(robot, depth, max_range=4.0)
    ranges, angles = np.array(scan.ranges), angles_of(scan)
    left, right = (-np.arctan((column - (WIDTH - 1) / 2) / FOCAL) for column in (40, 120))
    assert (ranges[angles > left + 0.01] == -np.inf).all()
    assert np.isnan(ranges[angles < right - 0.01]).all()
    assert (ranges[(angles < left - 0.01) & (angles > right + 0.01)] == np.inf).all()
    grid = robot.grid_of(scan, 0.05)
    cells = np.array(grid.data).reshape(grid.info.height, grid.info.width)
    y, x = np.mgrid[-80:80, 0:80] * 0.05 + 0.025
    bearing = np.arctan2(y, x)
    is_open = (bearing < left - 0.05) & (bearing > right + 0.05) & (np.hypot(x, y) < 3.9)
    assert (cells[is_open] == 0).all()
    assert (cells[(bearing > left + 0.05) | (bearing < right - 0.05)] == -1).all()


def test_the_grid_is_free_up_to_the_wall_and_unknown_behind_it(robot: ModuleType) -> None:
    depth = np.full((HEIGHT, WIDTH), 2.02)
    depth[:, WIDTH // 2 :] = 1e3  # Nothing is near on the right.
    scan = scan_of(robot, depth, max_range=4.0)
    grid = robot.grid_of(scan, 0.05)
    info = grid.info
    assert (info.width, info.height, info.resolution) == (80, 160, 0.05)
    assert (info.origin.position.y, info.origin.orientation.w) == (-4.0, 1.0)
    assert grid.header.frame_id == "camera_frame"
    cells = np.array(grid.data).reshape(info.height, info.width)
    assert set(np.unique(cells)) == {-1, 0, 100}

    def cell(x: float, y: float) -> int:
        return int(cells[int((y + 4) / 0.05), int(x / 0.05)])

    # Straight ahead and to the left is the wall; y is to the left.
    assert [cell(x, 0.2) for x in (0.7, 1.9, 2.02, 2.12, 3.9)] == [0, 0, 100, -1, -1]
    assert [cell(x, -0.5) for x in (1.9, 2.02, 2.3, 3.7)] == [0, 0, 0, 0]
    assert cell(0.5, 2) == cell(0.5, -2) == -1, "beside the picture"


def test_the_node_publishes_a_scan_only_in_metres(
    robot: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image = robot.Image(
        header=robot.Header(stamp="stamp 7", frame_id="camera_color_optical_frame"),
        height=HEIGHT, width=WIDTH, step=3 * WIDTH, encoding="rgb8", data=pixels.tobytes(),
    )  # fmt: skip
    P = [*K_SCAN[0], 0, *K_SCAN[1], 0, *K_SCAN[2], 0]
    for kind, topics in (
        (rilievo.DepthKind.METRIC, ["depth/image", "depth/camera_info", "scan", "grid"]),
        (rilievo.DepthKind.UP_TO_SCALE, ["depth/image", "depth/camera_info"]),
    ):
        monkeypatch.setattr(rilievo, "load_model", lambda name, kind=kind: Relief(kind=kind))
        node = robot.DepthNode()
        node.heard["camera_info"](robot.CameraInfo(k=[0] * 9, p=P, header=None))
        node.heard["image"](image)
        published = [each for each in node.published if isinstance(each, tuple)]
        assert [topic for topic, _ in published] == topics
        if kind is rilievo.DepthKind.METRIC:
            scan = dict(published)["scan"]
            assert (scan.header.stamp, scan.header.frame_id) == ("stamp 7", "camera_color_frame")
