"""``python -m lab.making``: what a user gets wrong is said in one line."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from lab.making import command as making
from lab.making import recipe_run
from lab.making import recipes as train_recipes
from lab.making.distil import distil_run
from lab.making.distil.distil_config import TrainConfig
from lab.making.recipe_options import RecipeOptions
from lab.making.recipe_run import train_recipe
from lab.making.recipe_stage import RecipeStage
from lab.making.recipes import RECIPES, Recipe
from lab.making.wider_start import read_average
from rilievo.errors import InputError, OptionError, RilievoError
from rilievo.schema.fields import list_options
from rilievo.training.networks.small import NARROW, SMALL


def test_an_unknown_recipe_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no recipe 'smal'; did you mean 'small'"):
        main("smal", shards=tmp_path, output=tmp_path / "run")


def test_the_help_names_every_recipe() -> None:
    [recipe] = [each for each in list_options(RecipeOptions) if each.name == "recipe"]
    assert set(RECIPES) <= set(re.split("[ ,:.]+", recipe.help))


@pytest.mark.slow
def test_a_folder_without_shards_ends_the_command_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["small", "--shards", str(tmp_path), "--steps", "1"]
    monkeypatch.setattr("sys.argv", ["making", *given, "-o", str(tmp_path / "run")])
    assert making.run() == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{tmp_path}: no shard-*.npz with frames to train on" in said


def main(recipe: str, **options: Any) -> None:
    train_recipe(RecipeOptions(recipe=recipe, device="cpu", **options))


def toy(steps: int, **changes: object) -> Recipe:
    config = TrainConfig(
        steps=steps,
        stages=(RecipeStage(until=1.0, areas=(2048,), real=0.0),),
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
    }
    monkeypatch.setattr(train_recipes, "RECIPES", toys)


@pytest.mark.slow
@pytest.mark.usefixtures("recipes")
def test_the_phase_before_is_run_once_and_each_starts_from_it(shards: Path, tmp_path: Path) -> None:
    main("wider", shards=shards, output=tmp_path / "run")
    first = tmp_path / "run-first"
    weights = read_average(first)
    main("wider", shards=shards, output=tmp_path / "other", start=first)
    assert not (tmp_path / "other-first").exists()
    name = "encoder.linearbottleneck.0.conv0.weight"
    for run in ("run", "other"):
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
def test_a_device_that_is_not_there_is_refused_and_leaves_no_folder(
    shards: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with pytest.raises(OptionError, match="cuda"):
        train_recipe(RecipeOptions(recipe="first", shards=shards, output=run, device="cuda:77"))
    assert not run.exists()


@pytest.mark.slow
@pytest.mark.usefixtures("recipes")
def test_a_recipe_runs_in_full_precision_too_and_nearly_the_same(
    shards: Path, tmp_path: Path
) -> None:
    for precision in ("fp32", "bf16"):
        main("first", shards=shards, output=tmp_path / precision, precision=precision)
    full, half = (read_average(tmp_path / each) for each in ("fp32", "bf16"))
    name = "encoder.linearbottleneck.0.conv0.weight"
    assert not torch.equal(full[name], half[name])
    torch.testing.assert_close(full[name], half[name], rtol=0, atol=0.02)


@pytest.mark.usefixtures("recipes")
def test_faults_of_options_are_found_before_the_frames_are_read(tmp_path: Path) -> None:
    other, missing = tmp_path / "other", tmp_path / "no shards"
    other.mkdir()
    (other / "config.json").write_text("{}")
    file = tmp_path / "wide-first"
    file.touch()
    for fault, options in (
        ("is not ours", {"output": other}),
        ("is not ours", {"output": file}),
        ("wide-first: is not ours", {"recipe": "wider", "output": tmp_path / "wide"}),
        ("fp8", {"precision": "fp8"}),
        ("gone.onnx: no ONNX file", {"start": tmp_path / "gone.onnx"}),
    ):
        given: dict[str, Any] = {"recipe": "first", "output": tmp_path / "run", **options}
        with pytest.raises(RilievoError, match=fault):
            main(shards=missing, **given)
    with pytest.raises(OptionError, match="no device"):
        train_recipe(
            RecipeOptions(recipe="first", shards=missing, output=tmp_path / "run", device="foo")
        )


@pytest.mark.usefixtures("recipes")
def test_what_begins_anew_first_or_from_chance_is_said_and_the_run_gets_its_page(
    shards: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = tmp_path / "run"
    monkeypatch.setattr(distil_run, "train", lambda *given, **options: None)
    monkeypatch.setattr(recipe_run, "start_from", lambda *given, **options: None)
    run.mkdir()
    (run / "log.csv").write_text("step,images,loss\n1,2,0.5\n2,4,0.25\n")
    main("wider", shards=shards, output=run, resume=True)
    assert "2 steps on 4 images" in (run / "page.html").read_text("utf-8")
    said = capsys.readouterr().err
    assert "run has no checkpoint" in said
    assert "first first, for" in said
    assert "first starts from random weights" in said
    assert "wider starts from random weights" not in said


@pytest.mark.usefixtures("recipes")
def test_a_folder_that_holds_no_run_cannot_be_started_from(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing.*no checkpoint of a run to start from"):
        main("wider", shards=shards, output=tmp_path / "run", start=tmp_path / "nothing")


def test_what_a_recipe_has_no_use_for_is_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="leave --real out"):
        main("small-rendered", shards=shards, output=tmp_path / "run", real=tmp_path)
    with pytest.raises(OptionError, match="no share for lessons"):
        main("small", shards=shards, output=tmp_path / "run", lessons=tmp_path)
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


def test_every_recipe_makes_a_run() -> None:
    for recipe in RECIPES.values():
        config = recipe().config
        assert config.stage(0.0).until > 0
        assert config.stage(1.0) is config.stages[-1]
        assert recipe.__doc__ is not None
