"""The examples of the guide to models are run, with a small model in place of each name."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.models import MODELS, find_card
from rilievo.models.onnx_files.agreement import draw_scene
from support.official_checkpoints import write_checkpoint
from support.replicate_server import TOKEN, replicate_server
from support.tiny_checkpoints import Checkpoints, checkpoint
from support.tiny_pipelines import save_pipeline

__all__ = ["checkpoint"]

DOWNLOADED = (
    "moge-2/small",
    "depth-anything-v2/small",
    "depth-anything-3/small",
    "metric3d-v2/small",
)
ANYTHING, PRO = "depth-anything/Depth-Anything-V2-Small-hf", "apple/DepthPro-hf"
GUIDE = (Path(__file__).parents[3] / "docs" / "models.md").read_text(encoding="utf-8")


@pytest.fixture
def small(
    checkpoint: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, list[str]]]:
    """Replacement of a name of the guide, in a folder of photographs and with a service."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path / "cache"))
    Path("photos").mkdir()
    for name in ("photo.jpg", "photos/a.jpg", "photos/b.jpg"):
        Image.fromarray(draw_scene((96, 128))).save(name)
    depth, normals = save_pipeline(tmp_path / "d"), save_pipeline(tmp_path / "n", normals=True)
    with replicate_server() as service:
        monkeypatch.setenv("REPLICATE_API_TOKEN", TOKEN)
        monkeypatch.setenv("REPLICATE_BASE_URL", service.address)
        # How they are converted is seen elsewhere, and takes longer than they do.
        inverse = ["--kind", "affine_inverse", "--engine", "torch"]
        yield {
            # What the core downloads is seen in test_published_models.py.
            **{name: ["rilievo/small"] for name in DOWNLOADED},
            ANYTHING: [str(checkpoint("depth_anything")), *inverse],
            "dpt/hybrid": [str(checkpoint("dpt")), "--kind", "affine_inverse"],
            PRO: [str(checkpoint("depth_pro")), "--kind", "metric", "--engine", "torch"],
            "model/": [str(checkpoint("dpt")), "--engine", "torch"],
            "marigold/depth-v1-1": [str(depth)],
            "marigold/normals-lcm": [str(normals)],
            "mono+stereo_640x192/": [str(write_checkpoint(tmp_path / "m", size=(64, 96)))],
        }


def commands() -> list[list[str]]:
    blocks = re.findall(r"^```\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()]
    shown = [shlex.split(line)[1:] for line in lines if line.startswith("rilievo ")]
    return [
        [{"--quality": "--model", "good": "moge-2/small"}.get(each, each) for each in command]
        if "--quality" in command
        else command
        for command in shown
    ]


@pytest.mark.slow
def test_every_command_of_the_guide_works_and_shows_no_token(
    small: dict[str, list[str]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert len(commands()) == 16
    for number, shown in enumerate(commands()):
        place = shown.index("--model") + 1
        named = small.get(shown[place], [shown[place]])
        output = ["-o", f"results/{number}", "--threads", "1"]
        # A network of noise sees as little at the size of a stamp.
        rest = [each.replace("resolution=512", "resolution=32") for each in shown[place + 1 :]]
        if "-o" in rest:  # An option is given once.
            at = rest.index("-o")
            del rest[at : at + 2]
        command = [*shown[:place], *named, *rest]
        assert main([*command, *output]) == 0, command
    written = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert sum(each.suffix == ".json" and each.parent.name.isdigit() for each in written) >= 9
    assert not any(TOKEN.encode() in each.read_bytes() for each in written)
    said = capfd.readouterr()
    assert TOKEN not in said.out + said.err


@pytest.mark.slow
def test_results_say_model_kind_and_licence(small: dict[str, list[str]]) -> None:
    model, *kind = small["dpt/hybrid"]
    command = ["predict", "photo.jpg", "--model", model, *kind, "--engine", "torch", "-o", "out"]
    assert main(command) == 0
    said = json.dumps(json.loads(Path("out/photo.json").read_text()))
    for words in (model, "affine_inverse", "not stated", "sha256"):
        assert words in said


def test_every_model_that_the_guide_names_is_in_the_table() -> None:
    named = {command[command.index("--model") + 1] for command in commands()} - {
        "model/",
        "mono+stereo_640x192/",
    }
    assert all(find_card(name) for name in named)
    assert set(re.findall(r"`(marigold/[\w-]+|depth-anything-v2/\w+)`", GUIDE)) <= set(MODELS)


@pytest.mark.parametrize("repository", ["Intel/dpt-beit-large-512", "prs-eth/marigold-depth-v1-1"])
def test_a_model_of_the_table_is_found_by_its_repository_too(repository: str) -> None:
    assert find_card(repository).source == repository
    assert find_card(repository).name in MODELS
