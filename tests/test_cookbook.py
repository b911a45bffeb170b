"""The programs of the cookbook that need others' packages: what can be run of them here."""

import importlib.util
import json
import re
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
    modules = {
        "rclpy": {},
        "rclpy.node": {"Node": StandIn},
        "rclpy.qos": {"qos_profile_sensor_data": None},
        "sensor_msgs": {},
        "sensor_msgs.msg": {"Image": message, "CameraInfo": message},
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
