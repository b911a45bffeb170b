"""Model files from runs, and cards from scores."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[3] / "lab" / "studies"))

from card_words import as_text
from default_scores import Row, Scores, read_scores
from file_facts import FileFacts, read_facts
from sureness import FrameSureness, calibration
from write_default_card import overview, renewed

from lab.making.write_default_models import store_in_half, write_model
from rilievo.errors import InputError
from rilievo.models import DEFAULT_MODEL, MODELS
from rilievo.models.default.embedded import embedded_cards, read_long_card
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.onnx_model import OnnxModel
from rilievo.training.networks.small import SmallNet
from support.network_numbers import assert_networks_agree


@pytest.fixture(scope="module")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose network has learned nothing yet."""
    torch.manual_seed(0)
    run = tmp_path_factory.mktemp("run")
    torch.save({"average": SmallNet().eval().state_dict()}, run / "checkpoint.pt")
    return run


@pytest.mark.slow
def test_a_run_becomes_the_file_of_its_model(small_run: Path, tmp_path: Path) -> None:
    whole, half = tmp_path / "whole.onnx", tmp_path / "half.onnx"
    write_model("small", small_run, whole)
    write_model("small", small_run, half, store_in_half)
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    loaded = [OnnxModel(path, LoadOptions(device="cpu")) for path in (whole, half)]
    assert [model.description.precision for model in loaded] == ["fp32", "fp16"]
    assert {model.card.name for model in loaded} == {"rilievo/small"}
    photo = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    one, two = (model.predict_raw([photo])[0].depth for model in loaded)
    assert one is not None
    assert two is not None
    assert_networks_agree(
        np.log(one.values), np.log(two.values), median=5e-6, tolerance=5e-5, limit=0.01
    )
    with pytest.raises(InputError, match="no run of the recipe 'base'"):
        write_model("base", small_run, tmp_path / "other.onnx")


@pytest.mark.slow
def test_the_facts_are_those_of_the_file(small_run: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    write_model("small", small_run, path)
    facts = read_facts(path)
    assert (facts.name, facts.precision) == ("rilievo/small", "fp32")
    assert facts.size_bytes == path.stat().st_size
    trained = sum(parameter.numel() for parameter in SmallNet().parameters())
    assert 0.96 * trained < facts.parameters < trained  # batch normalisation is folded in
    assert "NYU Depth V2" in facts.trained_on


FACTS = FileFacts(
    name="rilievo/small",
    kind="up_to_scale",
    licence="Apache-2.0",
    precision="int8 weights",
    trained_on="photographs",
    parameters=2_500_000,
    size_bytes=3_000_000,
    sha256="abc",
)


def row_of(model: str, abs_rel: float, *, set: str = "rooms", frames: int = 3) -> Row:
    return Row(
        set=set,
        benchmark="depth",
        model=model,
        frames=frames,
        abs_rel=abs_rel,
        delta1=0.9,
        frames_flat=2,
        abs_rel_aligned=0.05,
        delta1_aligned=0.95,
    )


def test_the_card_has_the_facts_the_calibration_and_the_models_own_rows(tmp_path: Path) -> None:
    scores = Scores(
        rows=(
            row_of("rilievo/base", 0.1),
            row_of("rilievo/small", 0.2),
            row_of("row prior", 0.3),
        ),
        calibrations=(
            calibration(
                "rilievo/small",
                {
                    "Kinect": [
                        FrameSureness(
                            pixels=np.array([0.1, 0.9]),
                            said=np.array([0.04, 0.76]),
                            right=np.array([0.02, 0.68]),
                            ause=0.03,
                        )
                    ]
                },
            ),
        ),
    )
    scores.write(tmp_path / "scores.json")
    assert read_scores(tmp_path / "scores.json") == scores
    older = (tmp_path / "scores.json").read_text().replace("frames_flat", "frames_aligned")
    (tmp_path / "older.json").write_text(older)
    with pytest.raises(InputError, match="older version of the tool"):
        read_scores(tmp_path / "older.json")
    text = as_text(FACTS, scores, 4.25)
    assert "2.50 million parameters, stored as int8 weights. Its file has 3.0 MB (3000000" in text
    assert "bytes) and is licensed under Apache-2.0." in text
    assert "On two cores, ONNX Runtime needs 4.2 ms to run it" in text
    assert "confidence is 0.80, and 70% of the pixels are" in text
    assert "| Kinect | 1 | 0.80 | 0.70 | 10% | 0.20 | 0.030 |" in text
    assert "| PyDNet | 0.114 / 0.871 | 0.129 / 0.849 |" in text
    own = "| rooms | `depth` | rilievo/small | 3 | 0.200 / 0.900 | 0.050 / 0.950 (2) | – |"
    assert own in text
    assert "| rooms | `depth` | row prior |" in text
    assert "| rooms | `depth` | rilievo/base |" not in text


def test_the_table_of_readme_is_made_of_the_same_rows() -> None:
    kitchen = row_of("rilievo/small", 0.2, set="7-Scenes, 31 views of a kitchen", frames=31)
    made = overview([FACTS], [kitchen], {"rilievo/small": 4.25})
    assert "| `rilievo/small` | 3.0 MB | 2.50 M, int8 weights | Apache-2.0 | 4.2 ms | – | " in made
    assert "| 0.200 / 0.900 |" in made
    page = "before\n<!-- embedded models -->\nold\n<!-- end -->\nafter\n"
    assert renewed(page, made) == page.replace("old\n", made)


def test_readme_says_what_the_cards_say() -> None:
    page = (Path(__file__).parents[3] / "README.md").read_text("utf-8")
    region = page.partition("<!-- embedded models -->")[2].partition("<!-- end -->")[0]
    lines = [line.strip("| ").split(" | ") for line in region.splitlines() if "`rilievo/" in line]
    assert [line[0].strip("`") for line in lines] == [card.name for card in embedded_cards()]
    for name, size, weights, licence, time, *scores in lines:
        card = read_long_card(MODELS[name.strip("`")])
        assert card is not None
        millions, precision = weights.split(" M, ")
        assert (
            f"{millions} million parameters, stored as {precision}. Its file has {size} (" in card
        )
        assert f"bytes) and is licensed under {licence}." in card
        assert time == "–" or f"ONNX Runtime needs {time} to run it" in card
        assert all(score == "–" or f"| {score} |" in card for score in scores)


def test_the_default_s_card_has_the_ranges_that_are_used() -> None:
    from card_words import ranges

    [card] = [each for each in embedded_cards() if each.name == DEFAULT_MODEL]
    assert ranges() in str(read_long_card(card))
