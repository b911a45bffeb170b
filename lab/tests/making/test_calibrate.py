"""``python -m lab.making calibrate``: steps run in order, once, and again when a file changes."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.making.calibrate import CalibrateOptions, main, run_steps
from lab.making.calibration_steps import ROOT, STEPS, Step
from rilievo.errors import InputError, OptionError

_COPY = "import sys, shutil; shutil.copy(*sys.argv[1:]); print('copied')"


def copies(name: str, source: str, target: str) -> Step:
    return Step(
        name=name,
        purpose="a copy",
        commands=(("python", "-c", _COPY, source, target),),
        reads=(source,),
        writes=(target,),
        minutes=0,
    )


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    steps = (copies("first", "a.json", "b.json"), copies("second", "b.json", "c.json"))

    def runs(**options: object) -> str:
        given = {"folder": tmp_path / "run", "data": tmp_path, **options}
        run_steps(CalibrateOptions(**given), steps, tmp_path)  # pyright: ignore[reportArgumentType]
        return capsys.readouterr().out

    return runs


def test_steps_run_once_and_again_from_the_one_whose_input_changed(
    run: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_text("1")
    assert run().count("$ python") == 2
    assert (tmp_path / "c.json").read_text() == "1"
    assert (tmp_path / "run" / "first.log").read_text() == "copied\n"
    assert run().count("up to date") == 2
    (tmp_path / "b.json").write_text("2")
    # The first one makes its file again, which is then as the second one knows it.
    assert run().count("$ python") == 1
    (tmp_path / "a.json").write_text("3")
    assert run().count("$ python") == 2
    assert (tmp_path / "c.json").read_text() == "3"
    assert run(force=True).count("$ python") == 2


def test_a_list_runs_nothing(run: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("1")
    assert "first: a copy" in run(list=True)
    assert not (tmp_path / "b.json").exists()


def test_a_step_that_fails_is_named_with_its_log_and_runs_again(
    run: Callable[..., str], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"step 'first' failed with status 1: see first\.log"):
        run()
    (tmp_path / "a.json").write_text("1")
    run()
    assert (tmp_path / "c.json").read_text() == "1"


def test_an_unknown_step_is_answered_by_all_steps() -> None:
    with pytest.raises(OptionError, match="no step 'rages'; the steps are network"):
        CalibrateOptions(only="ranges,rages")


def test_steps_are_chosen_by_a_list_with_commas(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "cards,ranges", "--list"]) == 0
    names = [line.split()[1] for line in capsys.readouterr().out.splitlines()]
    assert names == ["ranges:", "cards:"]


def test_what_steps_read_is_there_or_made_by_a_step_before() -> None:
    made: set[str] = set()
    for step in STEPS:
        for part in step.reads:
            path = part.partition("#")[0]
            in_run = path.startswith("{folder}")
            assert path in made if in_run else path.startswith("{") or list(ROOT.glob(path)), part
        made |= {part.partition("#")[0] for part in step.writes}


def test_keys_of_a_file_count_alone(tmp_path: Path, run: Callable[..., str]) -> None:
    from lab.making.calibrate import Places, sum_of

    places = Places(folder=tmp_path, data=tmp_path, network=tmp_path / "n", workers=1)
    sums = []
    for numbers in ({"a": 1, "b": 2}, {"a": 1, "b": 3}):
        (tmp_path / "x.json").write_text(json.dumps(numbers))
        sums.append([sum_of([part], places, tmp_path) for part in ("x.json#a", "x.json#!a")])
    assert sums[0][0] == sums[1][0]
    assert sums[0][1] != sums[1][1]
