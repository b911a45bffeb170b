"""Examples of the guides to datasets, evaluation and extending are run, in page order."""

import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.data.datasets.folder_layout import (
    CameraLayout,
    DepthLayout,
    FolderLayout,
    NormalsLayout,
    read_layout,
)
from support.published_graphs import WEIGHTS, constant, node, write

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from write_guide_tables import REGION, TABLES  # noqa: E402

GOES_OVER_TABLES = (
    "tests/prediction/test_outputs.py",
    "tests/prediction/test_outputs_guide.py",
    "tests/evaluation/metrics/test_depth_metrics.py",
    "tests/cli/test_help.py",
    "tests/test_evaluation_documents.py::test_the_guides_tables_say_what_the_program_says",
)

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str) -> list[tuple[str, str]]:
    """Language and code, in the order of the page."""
    return BLOCK.findall(text_of(document))


def commands(code: str) -> Iterator[str]:
    for line in code.splitlines():
        command = line.split(" #")[0].strip()
        if command.startswith("rilievo "):
            yield command


def evaluation_section() -> list[tuple[str, str]]:
    [section] = re.findall(r"^## For researchers\n(.*?)^## ", text_of("README.md"), re.M | re.S)
    return BLOCK.findall(section)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dataset of one's own as the guide describes it, and predictions of another program."""
    [layout] = [code for language, code in blocks("docs/datasets.md") if language == "yaml"]
    for name in ("mine/images", "mine/depth", "dpt"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "mine" / "rilievo.yaml").write_text(layout)
    photo, _, disparity = skimage.data.stereo_motorcycle()
    known = np.isfinite(disparity)
    metres = 994.978 * 0.193001 / (np.where(known, disparity, 30) + 31.086)
    for number in range(6):
        part = (slice(20, 480, 5), slice(20 * number, 20 * number + 600, 5))
        stored = np.where(known, metres * 1000, 0).astype(np.uint16)[part]
        Image.fromarray(photo[part]).save(tmp_path / f"mine/images/{number}.jpg")
        Image.fromarray(stored).save(tmp_path / f"mine/depth/{number}.png")
        wrong = 0.02 * np.cos(np.arange(120) / 9)
        np.save(tmp_path / f"dpt/{number}.npy", (7 / metres[part] + wrong).astype(np.float32))
    (tmp_path / "mine" / "test.txt").write_text("0\n1\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(found: list[tuple[str, str]], document: str) -> int:
    """Run commands and programs; how many there were."""
    count = 0
    for language, code in found:
        if language == "python":
            exec(compile(code, document, "exec"), {"__name__": "__main__"})
            count += 1
        for command in commands(code) if language == "" else ():
            assert main(shlex.split(command)[1:]) == 0, f"{document}: {command}"
            count += 1
    return count


def test_the_guide_to_datasets_works_from_top_to_bottom(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(blocks("docs/datasets.md"), "docs/datasets.md") == 5
    assert (lab / "sheet.jpg").exists()
    printed = capsys.readouterr().out
    assert "read 6 of 6 images, 6 of them complete" in printed
    assert "5 (92, 120, 3)" in printed


@pytest.mark.slow
def test_the_guide_to_evaluation_works_from_top_to_bottom(
    lab: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(blocks("docs/evaluation.md"), "docs/evaluation.md") == 12
    printed = capsys.readouterr().out
    assert "AbsRel" in printed
    assert "dpt (affine_inverse, after fitting a scale and a shift of inverse depth to " in printed
    assert "on depth+log" in printed
    shown = text_of("docs/evaluation.md")
    left = {path.name for path in (lab / "base").iterdir()}
    assert {each for each in left if f"`{each}" in shown} == left
    assert (lab / "comparison.html").exists()
    assert (lab / "leaderboard.html").exists()


@pytest.mark.slow
def test_the_readmes_commands_of_evaluation_work(lab: Path) -> None:
    words = "evaluate -b depth --dataset folder --root mine --predictions dpt -m dpt -o theirs"
    assert main([*words.split(), "--kind", "affine_inverse"]) == 0
    assert run(evaluation_section(), "README.md") == 3
    assert (lab / "comparison.html").exists()


def test_the_guides_tables_say_what_the_program_says() -> None:
    """A row that is new is written by ``make docs``; none may be wrong or stale."""
    shown = set()
    for path in ROOT.glob("docs/**/*.md"):
        for _, name, rows, _ in REGION.findall(path.read_text(encoding="utf-8")):
            assert rows
            true = set(TABLES[name]().splitlines())
            assert set(rows.splitlines()) <= true, f"{path}: python tools/write_guide_tables.py"
            shown.add(name)
    assert shown == set(TABLES)


def test_the_guide_has_a_line_for_every_key_of_a_folders_yaml(lab: Path) -> None:
    keys_page = "docs/reference/dataset-files.md"
    keys = {
        key
        for row in re.findall(r"^\| (`[a-z._`, ]+) \|", text_of(keys_page), re.M)
        for key in re.findall(r"`([a-z]+(?:\.[a-z_]+)?)`", row)
    }
    parts = {"depth": DepthLayout, "normals": NormalsLayout, "camera": CameraLayout}
    expected = {each.name for each in fields(FolderLayout)} - parts.keys()
    for name, kind in parts.items():
        expected |= {f"{name}.{each.name}" for each in fields(kind)}
    assert expected <= keys
    assert {key for key in keys if "." in key} <= expected
    layout = read_layout(lab / "mine" / "rilievo.yaml")
    assert layout.depth is not None
    assert (layout.depth.invalid, layout.depth.max_depth) == ((0.0, 65535.0), 20.0)


def insert(path: Path, below: str, line: str) -> None:
    """Put a line below another."""
    text = path.read_text(encoding="utf-8")
    assert text.count(below) == 1, f"{path.name}: {below}"
    path.write_text(text.replace(below, below + line), encoding="utf-8")


def section(title: str) -> tuple[list[str], list[str]]:
    """Programs, and lines of tables, in a section of the guide to extending."""
    [text] = re.findall(
        rf"^## {title}\n(.*?)(?=^## |\Z)", text_of("docs/extending.md"), re.M | re.S
    )
    found = BLOCK.findall(text)
    rows = [code for language, code in found if language == "" and not code.startswith("rilievo")]
    return [code for language, code in found if language == "python"], rows


def extended(folder: Path) -> Path:
    """A copy of rilievo, changed as the guide to extending says: two files an addition."""
    package = folder / "rilievo"
    shutil.copytree(
        Path(rilievo.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    [dataset], [line] = section("A dataset")
    (package / "data/datasets/sets" / "scans.py").write_text(dataset, encoding="utf-8")
    insert(package / "data/datasets/__init__.py", "_DATASETS: Mapping[str, str] = {\n", line)
    [outside, metric], [line] = section("A metric")
    depth = package / "evaluation/metrics" / "depth.py"
    insert(depth, "DEPTH_METRICS: Mapping[str, DepthMetric] = metrics_by_name(\n", line)
    insert(depth, "from rilievo.alignment.fit import dot\n", f"\n\n{metric}")
    (folder / "lab_metrics.py").write_text(outside, encoding="utf-8")
    benchmark, *_ = re.findall(r"^```toml\n(.*?)^```", text_of("docs/extending.md"), re.M | re.S)
    with (package / "evaluation/benchmarks/benchmarks.toml").open("a", encoding="utf-8") as file:
        file.write(f"\n{benchmark}")
    [output], [line] = section("An output")
    (package / "io/outputs/formats" / "grid.py").write_text(output, encoding="utf-8")
    insert(package / "prediction/output.py", "_OUTPUTS: Mapping[str, Output] = {\n", line)
    programs, _ = section("A model")
    model = next(each for each in programs if "def load(options" in each)
    (folder / "lab_depth.py").write_text(model, encoding="utf-8")
    write_floors(folder / "floors.onnx", package / "models" / "known.toml")
    return folder


def write_floors(graph: Path, table: Path) -> None:
    """Write a network with the names of the guide, and add the guide's rows with its true hash.

    Its metres are 5 + the weighted sum of the three channels that it gets.
    """
    write(
        graph,
        [
            node("Mul", ["rgb", "w"], ["product"]),
            node("ReduceSum", ["product", "axes"], ["sum"], keepdims=0),
            node("Add", ["sum", "five"], ["metres"]),
        ],
        [
            constant("w", WEIGHTS.reshape(1, 3, 1, 1)),
            constant("axes", [1], np.int64),
            constant("five", 5.0),
        ],
        {"rgb": [1, 3, 64, 96]},
        {"metres": [1, 64, 96]},
    )
    [rows] = re.findall(
        r"^```toml\n(\[\[onnx_families\]\].*?)^```", text_of("docs/extending.md"), re.M | re.S
    )
    size, digest = graph.stat().st_size, hashlib.sha256(graph.read_bytes()).hexdigest()
    known = f'{{ path = "floors.onnx", size = {size}, sha256 = "{digest}" }}'
    assert rows.count('{ path = "floors.onnx" }') == 1
    with table.open("a", encoding="utf-8") as file:
        file.write("\n" + rows.replace('{ path = "floors.onnx" }', known))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return extended(tmp_path_factory.mktemp("changed"))


def in_copy(copy: Path, words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run Python's modules with the changed copy in place of rilievo."""
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (copy, ROOT)))},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_additions_of_the_guide_break_no_test_of_a_table(copy: Path) -> None:
    """Tests that go over the tables go over the additions too."""
    words = f"pytest -v -p no:randomly -p no:cacheprovider --basetemp {copy / 'tests'} -m"
    done = in_copy(copy, [*words.split(), "not slow", *GOES_OVER_TABLES], ROOT)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "[grid]" in done.stdout


@pytest.mark.slow
def test_a_model_and_an_output_are_added_as_the_guide_says(copy: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), "gray").save(tmp_path / "photo.jpg")
    words = "rilievo predict photo.jpg --model lab_depth:load --save grid -o out"
    done = in_copy(copy, words.split(), tmp_path)
    assert done.returncode == 0, done.stderr
    rows = np.loadtxt(tmp_path / "out" / "photo.depth.txt")
    assert rows.shape == (48, 64)
    assert rows[0, 0] > rows[-1, 0]


@pytest.mark.slow
def test_a_published_network_is_added_as_the_guide_says(copy: Path, tmp_path: Path) -> None:
    colour = (200, 120, 40)
    Image.new("RGB", (128, 96), colour).save(tmp_path / "photo.png")
    shown = (line for _, code in blocks("docs/extending.md") for line in commands(code))
    card, *_ = [line for line in shown if line.startswith("rilievo models floors/small")]
    done = in_copy(copy, shlex.split(card), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "MIT, commercial use allowed" in done.stdout
    assert "huggingface.co/lab/floors-onnx/resolve/main/floors.onnx" in done.stdout
    words = f"rilievo predict photo.png --model {copy / 'floors.onnx'} --save npy -o floor"
    done = in_copy(copy, words.split(), tmp_path)
    assert done.returncode == 0, done.stderr
    depth = np.load(tmp_path / "floor" / "photo.depth.npy")
    metres = 5 + WEIGHTS @ ((np.array(colour) / 255 - 0.5) / 0.25)
    np.testing.assert_allclose(depth, metres, rtol=1e-5)
    assert '"floors/small"' in (tmp_path / "floor" / "photo.json").read_text()


@pytest.mark.slow
def test_a_dataset_a_metric_and_a_benchmark_are_added_as_the_guide_says(
    copy: Path, tmp_path: Path
) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "test.txt").write_text("a\nb\n")
    depth = np.linspace(1000, 4000, 48 * 64).reshape(48, 64)[::-1]
    for name in ("a", "b"):
        Image.new("RGB", (64, 48), "gray").save(scans / f"{name}.jpg")
        np.save(scans / f"{name}.npy", depth.astype(np.uint16))
    shown = (line for _, code in blocks("docs/extending.md") for line in commands(code))
    [command] = [line for line in shown if line.startswith("rilievo evaluate")]
    done = in_copy(copy, shlex.split(command), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "rilievo/base (up_to_scale, after fitting a scale to each image) on scans" in done.stdout
    assert re.search(r"too near\s+0\.\d+ ", done.stdout)
    assert re.search(r"close\s+[01]\.\d+ .* higher", done.stdout)
    assert "2 of 2 images have a score" in done.stdout
