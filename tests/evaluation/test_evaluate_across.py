"""``rilievo evaluate`` by several processes and in parts: predictions and scores of one process."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rilievo.cli import main
from rilievo.errors import OptionError
from rilievo.evaluation.evaluate_across import evaluate_across
from rilievo.evaluation.evaluation_run import PredictedPart, evaluate
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.records import Evaluation
from rilievo.predicting.options import BatchOptions

MakeNetwork = Callable[..., Path]
IDS = [f"n{number}" for number in range(5)]


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    root = tmp_path / "toy"
    root.mkdir()
    random = np.random.default_rng(0)
    for name in IDS:
        depth = random.uniform(1, 5, (48, 64)).astype(np.float32)
        np.savez(
            root / f"{name}.npz", image=random.integers(0, 255, (48, 64, 3), np.uint8), depth=depth
        )
    (root / "test.txt").write_text("\n".join(IDS))
    return root


def options(output: Path) -> EvaluateOptions:
    return EvaluateOptions(output=output, dataset="support.toy_dataset:Toy")


def kept(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((folder / "predictions").iterdir())}


@pytest.mark.slow
def test_parts_predict_what_one_call_does_and_a_call_without_scores_it(
    tmp_path: Path, toy: Path, make_network: MakeNetwork
) -> None:
    network, parts, plain = str(make_network()), tmp_path / "parts", tmp_path / "plain"
    evaluate(network, "depth", toy, options(plain), show=False)
    found = []
    for number in (2, 1):
        batch = BatchOptions(shard=f"{number}/2")
        part = evaluate_across(network, "depth", toy, options(parts), batch, show=False)
        assert isinstance(part, PredictedPart)
        assert part.failed == ()
        assert not (parts / "evaluation.json").exists()
        found.append(part.image_count)
    assert sum(found) == len(IDS)
    assert kept(parts) == kept(plain)
    batch = BatchOptions(workers=2)
    whole = evaluate_across(network, "depth", toy, options(parts), batch, show=False)
    assert isinstance(whole, Evaluation)
    assert (parts / "per_image.csv").read_bytes() == (plain / "per_image.csv").read_bytes()


@pytest.mark.slow
def test_an_image_that_is_broken_has_the_reason_of_one_process(
    tmp_path: Path, toy: Path, make_network: MakeNetwork
) -> None:
    (toy / "n3.npz").write_bytes(b"no archive")
    network = str(make_network())
    plain = evaluate(network, "depth", toy, options(tmp_path / "plain"), show=False)
    batch = BatchOptions(workers=1)
    spread = evaluate_across(network, "depth", toy, options(tmp_path / "s"), batch, show=False)
    assert isinstance(spread, Evaluation)
    assert [each.id for each in spread.unscored] == ["n3"]
    assert spread.unscored == plain.unscored


@pytest.mark.parametrize(("is_broken", "exit_code"), [(False, 0), (True, 1)])
def test_a_part_ends_with_1_where_an_image_failed(
    tmp_path: Path,
    toy: Path,
    make_network: MakeNetwork,
    capsys: pytest.CaptureFixture[str],
    is_broken: bool,
    exit_code: int,
) -> None:
    if is_broken:
        (toy / "n3.npz").write_bytes(b"no archive")
    words = ["evaluate", "-b", "depth", "--root", str(toy), "-m", str(make_network())]
    words += ["--dataset", "support.toy_dataset:Toy", "-o", str(tmp_path / "out")]
    assert main([*words, "--shard", "1/1"]) == exit_code
    predicted = len(IDS) - is_broken
    assert f"{predicted} of {len(IDS)} images of this part" in capsys.readouterr().out


def test_predictions_that_are_given_have_no_parts(tmp_path: Path, toy: Path) -> None:
    given = EvaluateOptions(predictions=tmp_path, dataset="support.toy_dataset:Toy", kind="metric")
    with pytest.raises(OptionError, match="there is no part left to predict"):
        evaluate_across(None, "depth", toy, given, BatchOptions(shard="1/2"), show=False)
