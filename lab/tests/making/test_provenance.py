"""Provenance of a network in the file of a run."""

from pathlib import Path

import pytest

from lab.making import recipe_run
from lab.making.distil import distil_run
from lab.making.distil.small_export import Provenance
from lab.making.provenances import PROVENANCES, WITHOUT_PHOTOGRAPHS, provenance_of
from lab.making.recipe_options import LASTING, RecipeOptions
from lab.making.recipes import RECIPES
from rilievo.training.networks.small import SmallNet


def test_what_ships_is_named_and_says_which_photographs_it_saw() -> None:
    assert set(PROVENANCES) < {*RECIPES, *LASTING}
    for recipe, told in PROVENANCES.items():
        assert told.name == f"rilievo/{recipe}"
        photographs = recipe not in WITHOUT_PHOTOGRAPHS
        assert recipe in LASTING or photographs == RECIPES[recipe]().photographs
        assert photographs == ("NYU" in told.trained_on)
        assert provenance_of(recipe, photographs=photographs) == told


def test_a_run_on_other_frames_does_not_take_the_name_of_what_ships() -> None:
    for recipe, photographs in (("small", False), ("own", False), ("small-first", True)):
        told = provenance_of(recipe, photographs=photographs)
        assert told.name == recipe
        assert "NYU" not in told.trained_on


def test_a_run_by_a_recipe_tells_its_name(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Provenance] = []

    def note(*_: object, provenance: Provenance, **__: object) -> SmallNet:
        told.append(provenance)
        return SmallNet()

    monkeypatch.setattr(distil_run, "train", note)
    options = RecipeOptions(recipe="small-rendered", shards=shards, output=tmp_path / "run")
    recipe_run.train_recipe(options)
    assert [each.name for each in told] == ["rilievo/small-rendered"]
