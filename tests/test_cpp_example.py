"""The C++ program for exported networks is compiled, and gives the depth that Python gives."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import skimage.data
from PIL import Image

import rilievo
from rilievo.arrays.shapes import Float32

openvino = pytest.importorskip("openvino", reason="the program needs OpenVINO's headers")
COMPILER = shutil.which("g++")
if COMPILER is None:
    pytest.skip("there is no C++ compiler", allow_module_level=True)

SOURCE = Path(__file__).parents[1] / "examples" / "exported_network.cpp"
SMALL = "rilievo/small"
INPUT_SHAPE = (192, 288)
"""Height and width of the network's input for ``photo`` [px]."""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built by the command that it states."""
    usage = re.search(r"^Usage: (.*?)\n\n", SOURCE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert usage is not None
    folder = tmp_path_factory.mktemp("program")
    shutil.copy(SOURCE, folder)
    command = f"OV={shlex.quote(openvino.__path__[0])}\n{usage[1]} -Wall -Wextra -Werror"
    # Warnings in headers of the library are not the program's.
    command = command.replace("-I$OV", "-isystem $OV")
    subprocess.run(["sh", "-c", command], cwd=folder, check=True)
    return folder / "exported_network"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("network") / "small.onnx"
    rilievo.export_model(SMALL, path)
    return path


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.ppm"
    Image.fromarray(skimage.data.coffee()).save(path)
    return path


def run(program: Path, *arguments: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *arguments], capture_output=True, text=True)


def read_pfm(path: Path) -> Float32[np.ndarray, "h w"]:
    magic, size, scale, values = path.read_bytes().split(b"\n", 3)
    assert (magic, scale) == (b"Pf", b"-1.0")
    width, height = map(int, size.split())
    return np.frombuffer(values, "<f4").reshape(height, width)[::-1]


def test_its_depth_is_that_of_the_network_in_python(
    program: Path, network: Path, photo: Path, tmp_path: Path
) -> None:
    """Resized by Pillow and computed by ONNX Runtime, as the guide to exporting shows."""
    finished = run(program, network, photo, tmp_path / "depth.pfm")
    assert (finished.returncode, finished.stdout) == (0, "up_to_scale\n"), finished.stderr
    picture = Image.open(photo)
    resized = picture.resize(INPUT_SHAPE[::-1], Image.Resampling.BILINEAR)
    session = onnxruntime.InferenceSession(network, providers=["CPUExecutionProvider"])
    [depth] = session.run(["depth"], {"image": np.asarray(resized)[None]})
    expected = Image.fromarray(np.asarray(depth)[0]).resize(picture.size, Image.Resampling.BILINEAR)
    np.testing.assert_allclose(read_pfm(tmp_path / "depth.pfm"), np.asarray(expected), rtol=1e-4)


def test_its_depth_is_that_of_predict(
    program: Path, network: Path, photo: Path, tmp_path: Path
) -> None:
    assert run(program, network, photo, tmp_path / "depth.pfm").returncode == 0
    expected = rilievo.predict(photo, model=SMALL, device="cpu", trim="off", manhattan="off").depth
    assert expected.valid.all()
    np.testing.assert_allclose(read_pfm(tmp_path / "depth.pfm"), expected.values, rtol=1e-4)


def test_a_network_that_resizes_by_other_rules_is_refused(
    program: Path, network: Path, photo: Path, tmp_path: Path
) -> None:
    fixed = tmp_path / "fixed.onnx"
    rilievo.export_model(network, fixed, rilievo.ExportOptions(size=INPUT_SHAPE))
    finished = run(program, fixed, photo, tmp_path / "depth.pfm")
    assert finished.returncode == 1
    assert finished.stderr == "rilievo.sizing is not area but fixed\n"
    assert not (tmp_path / "depth.pfm").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"P6 4 3 255\n" + bytes(35), "is truncated"),
        (b"P6 4 3 65535\n" + bytes(72), "is not a binary PPM file"),
        (b"P3 1 1 255\n1 2 3", "is not a binary PPM file"),
        (b"", "is not a binary PPM file"),
    ],
)
def test_a_broken_photograph_is_refused(
    content: bytes, message: str, program: Path, network: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.ppm"
    broken.write_bytes(content)
    finished = run(program, network, broken, tmp_path / "depth.pfm")
    assert finished.returncode == 1
    assert message in finished.stderr
