"""One row added to a table acts at every door: a fact is told once.

Each row is added in a process of its own, before anything reads its table (``rows_added.py``).
"""

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parent / "support" / "rows_added.py"


def asked(kind: str, folder: Path) -> Mapping[str, Any]:
    """Answers of the doors after a row of a kind was added."""
    command = [sys.executable, str(PROGRAM), kind, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answers: Mapping[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answers


@pytest.fixture(scope="module")
def with_output(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    for extra in ("pydantic", "starlette", "av"):
        pytest.importorskip(extra, reason="extras are not installed")
    return asked("output", tmp_path_factory.mktemp("output"))


def test_an_added_output_is_written_by_python_the_command_and_for_videos(
    with_output: Mapping[str, Any],
) -> None:
    assert with_output["files"] == [
        "command/photo.edges.png",
        "python.edges.png",
        "video/clip.edges.mp4",
    ]


def test_help_and_the_guide_name_an_added_output(with_output: Mapping[str, Any]) -> None:
    assert "near16, panel, stereo, edges." in with_output["help"]
    row = "| `edges` | `.edges.png` | picture of the edges of depth | as if it were far |"
    assert row in with_output["guide"].splitlines()


def test_the_server_offers_an_added_output_with_its_type_and_its_size(
    with_output: Mapping[str, Any],
) -> None:
    assert "stereo, edges; or 'all'" in with_output["openapi"]
    assert "image/x-edges" in with_output["content"]
    assert with_output["http"] == [["edges"], True, False]
    assert with_output["reserved"] == 7 * 1000 + 2 * 100


def test_assistants_are_offered_an_added_output(with_output: Mapping[str, Any]) -> None:
    assert with_output["mcp"]["enum"] == ["glb", "usdz", "page", "outline"]
    assert "outline: a picture of edges" in with_output["mcp"]["description"]
    assert "a picture of edges" in with_output["mcp description"]


def test_the_app_offers_an_added_output_of_photographs_and_of_videos(
    with_output: Mapping[str, Any],
) -> None:
    page, size = with_output["page"], 'data-size="0.5,0.25,3"'
    assert f'data-save="edges">Edges of depth<span class="size" {size}>' in page
    assert f'data-output="edges">Edges of depth<span class="size" {size}>' in page
    assert 'value="edges">edges in white' in page
    assert (
        with_output["app video"] == "Outputs, separated by commas: colour, png16, normals, edges."
    )
    assert with_output["app bytes"] == (70 + 30) * 100 * 0.5


@pytest.mark.slow
def test_an_added_option_of_saving_acts_at_every_door(tmp_path: Path) -> None:
    for extra in ("pydantic", "starlette"):
        pytest.importorskip(extra, reason="extras are not installed")
    answers = asked("saving", tmp_path)
    assert answers["shades"] == [40, 40, 40]
    assert answers["recorded"] == {"shade": 40}
    assert "1 skipped: already done" in answers["skipped"]
    assert answers["other"].startswith("1 done")
    assert "--shade N" in answers["help"]
    assert "--shade only affects flat pictures" in answers["unused"]
    assert "--shade must be between 0 and 255" in answers["refusal"]
    assert answers["http"] == 40
    assert answers["openapi"] == "Shade of flat pictures."
    assert "    shade: int" in answers["stub"].splitlines()


def test_an_added_option_of_loading_reaches_the_loader_from_every_door(tmp_path: Path) -> None:
    for extra in ("pydantic", "starlette", "mcp"):
        pytest.importorskip(extra, reason="extras are not installed")
    answers = asked("loading", tmp_path)
    loads = {door: {*values} for door, values in answers["options"].items()}
    assert all(values == {"all"} for values in loads.values()), loads
    assert len(loads) == 10
    assert all("--caching CACHING" in text for text in answers["help"])
    assert answers["stub"].count("    caching: str\n") == 4
    assert all("caching: str = 'none'" in text for text in answers["signatures"])
    assert "'cashing'; did you mean 'caching'?" in answers["refusal"]


def test_an_added_kind_of_model_is_found_listed_and_loaded(tmp_path: Path) -> None:
    for extra in ("pydantic", "starlette"):
        pytest.importorskip(extra, reason="extras are not installed")
    answers = asked("model", tmp_path)
    assert answers["depths"] == {"python": 4, "command": 3, "server": 2}
    assert "near/2" in answers["listed"]
    assert "one wall" in answers["card"]
    assert "did you mean 'near/2'" in answers["refusal"]
    assert "| `near/METRES` | extra `train` |" in answers["guide"]


@pytest.fixture(scope="module")
def with_lens(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    for extra in ("pydantic", "starlette"):
        pytest.importorskip(extra, reason="extras are not installed")
    return asked("lens", tmp_path_factory.mktemp("lens"))


@pytest.mark.slow
def test_an_added_lens_is_read_by_every_option_and_written_in_numbers(
    with_lens: Mapping[str, Any],
) -> None:
    # 64 pixels see 200 degrees: 64 / 4 / tan(50 degrees) pixels a radian in the centre.
    name, numbers = with_lens["python"].split(":")
    assert name == "stereographic"
    focal = 16 / math.tan(math.radians(50))
    expected = pytest.approx([focal, focal, 31.5, 23.5])
    assert [float(number) for number in numbers.split(",")] == expected
    assert with_lens["files"] == [with_lens["python"]] * 2
    assert with_lens["back"] is True


@pytest.mark.slow
def test_help_the_guide_and_refusals_name_an_added_lens(with_lens: Mapping[str, Any]) -> None:
    assert "Known: pinhole, equirect, fisheye, opencv, fov, stereographic." in with_lens["help"]
    row = "| `stereographic:200` | a sphere seen from its edge | distance |"
    assert row in with_lens["guide"].splitlines()
    angle, name = with_lens["refusals"]
    assert "stereographic can see up to 300 degrees across, got 310" in angle
    assert "did you mean 'stereographic'" in name
    assert "stereographic:DEGREES, or the numbers of a calibration" in name


def test_the_server_assistants_and_the_app_offer_an_added_lens(
    with_lens: Mapping[str, Any],
) -> None:
    assert "fov, stereographic." in with_lens["openapi"]
    assert with_lens["http"] == "stereographic:200"
    assert "'stereographic:200' (a sphere seen from its edge)" in with_lens["mcp"]
    assert (
        '<option value="stereographic:200">sphere seen from its edge</option>' in with_lens["page"]
    )


def test_an_added_kind_of_probe_is_made_named_and_swept(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the extra 'train' is not installed")
    answers = asked("probe", tmp_path)
    assert "Known: linear, multiscale, dpt, bnhead, light, gated." in answers["help"]
    assert answers["class"] == "Gated"
    assert "no probe 'gatted'; did you mean 'gated'" in answers["refusal"]
    assert answers["sweep"] == ["gated"]


@pytest.mark.slow
def test_an_added_encoder_is_made_named_and_planned(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the extra 'train' is not installed")
    answers = asked("encoder", tmp_path)
    known = "Known: small, resnet18, resnet34, resnet50, resnet101, resnet152, lite, strided."
    assert known in answers["help"]
    assert answers["shapes"] == [[1, 1, 64 >> scale, 96 >> scale] for scale in range(4)]
    assert "strided" in answers["plan"]
    assert "no encoder 'stridet'; did you mean 'strided'" in answers["refusal"]


def test_an_added_dataset_and_benchmark_are_listed_and_scored(tmp_path: Path) -> None:
    answers = asked("reader", tmp_path)
    assert "tiny" in answers["datasets"]
    assert "CC0-1.0" in answers["card"]
    assert "6 images" in answers["check"]
    assert answers["python"] == 6
    assert "depth beyond two metres" in answers["benchmarks"]
    assert "what is near" in answers["benchmark"]
    assert "depth-far" in answers["evaluated"]
    assert "evaluation.json" in answers["report"]
    datasets, benchmarks = answers["guide"]
    assert "| `tiny` | test (6), other | default, second |" in datasets
    assert "| `depth-far` | depth beyond two metres | no paper |" in benchmarks
