"""``python -m rilievo.train``: what a user gets wrong is said in one line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rilievo.errors import InputError, MissingExtraError, OptionError
from rilievo.networks.small import NARROW, SMALL, TINY
from rilievo.train import __main__ as entrance
from rilievo.train import command
from rilievo.train.command import main
from rilievo.train.config import Stage, TrainConfig
from rilievo.train.recipes import ENCODER, RECIPES, Recipe
from rilievo.train.start import read_average


def test_an_unknown_recipe_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no recipe 'smal'; did you mean 'small'"):
        main("smal", shards=tmp_path, output=tmp_path / "run")


def test_the_help_names_every_recipe() -> None:
    assert main.__doc__ is not None
    line = next(line for line in main.__doc__.splitlines() if "recipe: " in line)
    assert set(RECIPES) <= set(re.split("[ ,:]+", line))


@pytest.mark.slow
def test_a_folder_without_shards_ends_the_command_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rilievo.train", "small", "--shards", str(tmp_path)]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "run"), "--steps", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert (
        done.stderr
        == f"error: {tmp_path}: no shard-*.npz with frames to train on; render some first\n"
    )


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "rilievo.train.command")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"training \(torch\) needs the extra 'train'"):
        entrance.run()


def toy(steps: int, **changes: object) -> Recipe:
    config = TrainConfig(
        steps=steps,
        stages=(Stage(until=1.0, area=2048, real=0.0),),
        batch_size=2,
        warm_up_steps=2,
        confidence_steps=2,
    )
    return Recipe(config=config, **changes)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes of one step, whose widths and origins are those of the real ones."""
    toys = {
        "first": lambda **_: toy(1, widths=NARROW),
        "wider": lambda **_: toy(1, widths=SMALL, first="first"),
        "shorter": lambda **_: toy(1, widths=TINY, first="first", takes=ENCODER),
    }
    monkeypatch.setattr(command, "RECIPES", toys)


@pytest.mark.slow
@pytest.mark.usefixtures("recipes")
def test_the_phase_before_is_run_once_and_each_starts_from_it(shards: Path, tmp_path: Path) -> None:
    main("wider", shards=shards, output=tmp_path / "run")
    first = tmp_path / "run-first"
    weights = read_average(first)
    main("shorter", shards=shards, output=tmp_path / "short", start=first)
    assert not (tmp_path / "short-first").exists()
    name = f"{ENCODER}linearbottleneck.0.conv0.weight"
    for run in ("run", "short"):
        torch.testing.assert_close(
            read_average(tmp_path / run)[name], weights[name], rtol=0, atol=0.02
        )


@pytest.mark.slow
@pytest.mark.usefixtures("recipes")
def test_a_run_killed_in_its_first_phase_goes_on_there(shards: Path, tmp_path: Path) -> None:
    main("first", shards=shards, output=tmp_path / "run-first")
    before = read_average(tmp_path / "run-first")
    main("wider", shards=shards, output=tmp_path / "run", resume=True)
    after = read_average(tmp_path / "run-first")
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.usefixtures("recipes")
def test_a_folder_that_holds_no_run_cannot_be_started_from(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing.*no checkpoint of a run to start from"):
        main("wider", shards=shards, output=tmp_path / "run", start=tmp_path / "nothing")


def test_what_a_recipe_has_no_use_for_is_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="leave --real out"):
        main("small-rendered", shards=shards, output=tmp_path / "run", real=tmp_path)
    with pytest.raises(OptionError, match="leave --start out"):
        main("small-first", shards=shards, output=tmp_path / "run", start=tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("recipes")
def test_a_recipe_goes_on_from_an_onnx_file_of_its_network(shards: Path, tmp_path: Path) -> None:
    main("first", shards=shards, output=tmp_path / "run")
    main("first", shards=shards, output=tmp_path / "on", start=tmp_path / "run" / "small.onnx")
    before, after = read_average(tmp_path / "run"), read_average(tmp_path / "on")
    name = "merges.0.lateral.weight"
    torch.testing.assert_close(after[name], before[name], rtol=0, atol=5e-3)


def test_every_recipe_that_goes_on_goes_on_from_a_recipe() -> None:
    for make in RECIPES.values():
        assert make().first is None or make().first in RECIPES
