"""Cards of backbones agree with the networks that rilievo makes by their names."""

import json
from collections import Counter

import pytest

import rilievo
from rilievo.cli import main
from rilievo.training.networks.backbone_cards import (
    NOT_CONFIRMED,
    BackboneCard,
    find_backbone_card,
)
from rilievo.training.networks.blueprint import BACKBONE_FAMILIES, find_backbone_family

torch = pytest.importorskip("torch", reason="the extra 'train' is not installed")
CARDS = rilievo.BACKBONES
COUNTED = [name for name, card in CARDS.items() if card.parameters is not None]
NOT_COUNTED = {"hf/Intel/dpt-large", "diffusers/stabilityai/stable-diffusion-2-1"}
"""Those whose configuration is in no package."""


def test_every_family_has_cards_and_every_card_a_family() -> None:
    families = Counter(
        next(
            key for key, family in BACKBONE_FAMILIES.items() if family is find_backbone_family(name)
        )
        for name in CARDS
    )
    assert {*families} == {*BACKBONE_FAMILIES}
    assert {*CARDS} - {*COUNTED} == NOT_COUNTED


@pytest.mark.parametrize("name", COUNTED)
def test_parameters_and_patch_are_those_of_the_network(name: str) -> None:
    if name.startswith("timm/"):
        pytest.importorskip("timm", reason="the extra 'train' is not installed")
    from rilievo.training.networks.backbones import make_backbone

    with torch.device("meta"):  # no memory is filled
        backbone = make_backbone(name, pretrained=False)
    assert sum(weights.numel() for weights in backbone.parameters()) == CARDS[name].parameters
    assert backbone.patch == CARDS[name].patch


@pytest.mark.parametrize("card", CARDS.values(), ids=lambda card: card.name)
def test_a_licence_says_where_it_is_stated_or_that_it_was_not_confirmed(
    card: BackboneCard,
) -> None:
    has_weights = not card.source.startswith("inside the package")
    is_confirmed = card.licence != NOT_CONFIRMED
    assert bool(card.stated) is (has_weights and is_confirmed)
    assert card.commercial is None or is_confirmed
    assert (card.commercial is False) is ("NC" in card.licence)
    assert card.paper.startswith("arXiv:") or not has_weights


def test_the_command_lists_all_and_shows_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--backbones"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in CARDS)
    assert "22.1 M" in listed
    assert "NON-COMMERCIAL" in listed
    assert main(["models", "--backbones", "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [record["name"] for record in records] == [*CARDS]
    assert main(["models", "timm/vit_base_patch16_224.mae"]) == 0
    shown = capsys.readouterr().out
    for words in ("85,798,656", "16 px", "CC-BY-NC-4.0: NON-COMMERCIAL", "arXiv:2111.06377"):
        assert words in shown
    assert main(["models", "depth-cnn", "--json"]) == 0
    [record] = json.loads(capsys.readouterr().out)
    assert (record["parameters"], record["patch"]) == (208528, 16)


def test_a_name_without_the_tag_of_its_weights_is_found_if_one_has_it() -> None:
    name = "timm/vit_base_patch14_dinov2"
    assert find_backbone_card(name) is CARDS[f"{name}.lvd142m"]
    with pytest.raises(
        rilievo.ModelError, match="no card for the backbone 'timm/convnext_base'; did"
    ):
        find_backbone_card("timm/convnext_base")


@pytest.mark.parametrize("words", [["--backbones", "--all"], ["zipdepth", "--backbones"]])
def test_a_list_of_backbones_goes_with_nothing_else(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", *words]) == 2
    assert "cannot be combined" in capsys.readouterr().err
