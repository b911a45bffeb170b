"""The commands of docs/fiftyone.md, in their order, on scenes laid out as SUN RGB-D's."""

import os
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest

from rilievo.cli import main
from support.looked_at import write_sunrgbd
from support.tiny_networks import MakeNetwork

GUIDE = Path(__file__).parents[3] / "docs" / "fiftyone.md"

pytestmark = pytest.mark.filterwarnings("ignore")


def shown_commands() -> list[str]:
    blocks = re.findall(r"^```\n(.*?)^```", GUIDE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith("rilievo ")]


@pytest.mark.slow
def test_the_guides_commands_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_network: MakeNetwork
) -> None:
    monkeypatch.chdir(tmp_path)
    write_sunrgbd(tmp_path / "SUNRGBD")
    commands, other = shown_commands(), str(make_network())
    names = [f"guide-{os.getpid()}-{name}" for name in ("tutorial", "metres")]

    for command in commands:
        words = shlex.split(command)[1:]
        if words[0] == "view" and find_spec("fiftyone") is None:
            continue
        # The guide's model is fetched from a hub; a file in its place says as much of the path.
        words = [other if word == "dpt/hybrid" else word for word in words]
        words = [names[0] if word == "tutorial" else word for word in words]
        words = [names[1] if word == "metres" else word for word in words]
        assert main(words + ["--no-app"] * (words[0] == "view")) == 0, command

    assert [command.split()[1] for command in commands].count("view") == 2
    page = (tmp_path / "tutorial.html").read_text("utf-8")
    assert page.count("<article") == 2
    if find_spec("fiftyone") is not None:
        check_and_remove(names)


def check_and_remove(names: list[str]) -> None:
    import fiftyone

    tutorial, metres = (fiftyone.load_dataset(name) for name in names)
    metrics = ("rmse", "psnr", "ssim")
    schema = tutorial.get_field_schema(flat=True)
    assert all(f"base.{metric}" in schema and f"dpt.{metric}" in schema for metric in metrics)
    assert tutorial.exists("base.rmse").count() == 2
    assert tutorial.mean("dpt.rmse") > 0
    assert metres.exists("base_metres").count() == 2
    for name in names:
        fiftyone.delete_dataset(name)
