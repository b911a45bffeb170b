"""Models that the house finds and this wing loads."""

from pathlib import Path

import pytest

from rilievo.errors import ModelError, OptionError
from rilievo.extensions.subpackages import LOADERS
from rilievo.models import MODELS, load_model
from rilievo.models.finding import find_loader


@pytest.mark.parametrize("name", [each for each in MODELS if MODELS[each].loader in LOADERS])
def test_every_model_of_the_table_can_be_loaded_and_has_a_card(name: str) -> None:
    card = MODELS[name]
    assert card.name == name
    assert callable(find_loader(card))
    assert card.extra is None or card.extra in Path("pyproject.toml").read_text()


@pytest.mark.parametrize("name", ["who/{}", "diffusers:{}"])
@pytest.mark.parametrize("kind", [None, "affine"])
def test_a_name_longer_than_any_file_may_have_is_one_line(name: str, kind: str | None) -> None:
    for given in (name.format("a" * 5000), Path(name.format("a" * 5000))):
        with pytest.raises((ModelError, OptionError)) as caught:
            load_model(given, kind=kind)
        assert "\n" not in str(caught.value)
