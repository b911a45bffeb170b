"""A sweep from its file: done cell by cell, resumed, failures said and skipped."""

import shutil
from pathlib import Path

import pytest

from rilievo.cli import main
from rilievo.errors import InputError, OptionError
from rilievo.training.engine import loop
from rilievo.training.networks.backbones import make_backbone
from rilievo.training.probe.feature_cache import FeatureCache
from rilievo.training.sweep import sweep_work
from rilievo.training.sweep.sweep_cell import read_cell
from rilievo.training.sweep.sweep_config import SweepOptions, read_sweep
from rilievo.training.sweep.sweep_run import sweep_probes
from support.probed_scenes import scenes

FILE = """
title = "Two backbones"
tasks = ["both"]
seeds = 2
probes = ["linear"]
size = [24, 32]
depth = { bins = 16 }

[data]
dataset = "support.tiny_dataset:Tiny"
root = "scenes"
split = "other"

[test]
limit = 3

[training]
epochs = 2
learning_rate = 1e-2
losses.depth = "l1"

[[backbones]]
name = "support.probed_scenes:Small"
weights = "random"

[[backbones]]
name = "support.probed_scenes:Small"
label = "Small, layer 1"
weights = "random"
layers = [1]

[[backbones]]
name = "support.probed_scenes:Broken"
weights = "random"

[[backbones]]
name = "support.probed_scenes:Absent"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    scenes(tmp_path / "scenes")
    (tmp_path / "sweep.toml").write_text(FILE)
    return tmp_path / "sweep.toml"


@pytest.mark.slow
def test_a_sweep_passes_over_what_fails_and_writes_all_else(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    swept = sweep_probes(file, SweepOptions(output=out, device="cpu"), show=False)
    assert len(swept.cells) == 4
    assert sum("finite" in failure.reason for failure in swept.failures) == 2
    assert sum("Absent" in each.reason for each in swept.failures) == 2
    page = (out / "page.html").read_text("utf-8")
    assert "Small, layer 1" in page
    assert "https:" not in page
    text = (out / "table.md").read_text()
    assert r"probed\_scenes:Small (random)" in text
    assert "Small, layer 1" in text
    assert "Skipped: support" in text
    assert (out / "table.tex").read_text().count("Small, layer 1, linear &") == 1
    before = {cell.run: (out / cell.run / "cell.json").stat().st_mtime_ns for cell in swept.cells}
    again = sweep_probes(file, SweepOptions(output=out, device="cpu"), show=False)
    assert again.cells == swept.cells
    assert before == {
        cell.run: (out / cell.run / "cell.json").stat().st_mtime_ns for cell in again.cells
    }


def test_the_table_is_printed_for_a_terminal_and_written_as_markdown(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = FILE.replace("seeds = 2", "seeds = 1").replace('"both"', '"depth"')
    file.write_text(text.rsplit("[[backbones]]", 3)[0])
    out = tmp_path / "out"
    assert main(["probe", str(file), "--output", str(out), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "RMSE [m] ↓" in printed
    assert "Two backbones." in printed
    for markdown in ("\\", "| ", "**"):
        assert markdown not in printed
    assert r"RMSE \[m\] ↓ |" in (out / "table.md").read_text()


@pytest.mark.parametrize("is_before_training", [True, False])
def test_a_stopped_sweep_says_that_the_same_command_continues(
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    is_before_training: bool,
) -> None:
    """Stopped before and within the training of the first cell."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    if is_before_training:
        monkeypatch.setattr(sweep_work, "open_frames", stop)
    else:
        monkeypatch.setattr(loop.TrainingLoop, "_take_step", stop)
    command = ["probe", str(file), "--output", str(tmp_path / "out"), "--device", "cpu"]
    assert main(command) == 130
    last_line = capsys.readouterr().err.splitlines()[-1]
    assert "stopped in cells/" in last_line
    assert "same command continues" in last_line
    assert "resume" not in last_line


@pytest.mark.slow
def test_too_little_memory_for_one_cell_is_said_and_the_next_is_done(
    file: Path, tmp_path: Path
) -> None:
    first = FILE.split("[[backbones]]")[0].replace("seeds = 2", "seeds = 1")
    heavy, small = (
        f'[[backbones]]\nname = "support.probed_scenes:{each}"\nweights = "random"\n'
        for each in ("Heavy", "Small")
    )
    file.write_text(first + heavy + small)
    swept = sweep_probes(file, SweepOptions(output=tmp_path / "out", device="cpu"), show=False)
    assert [cell.title for cell in swept.cells] == ["support.probed_scenes:Small (random)"]
    assert ["memory" in failure.reason for failure in swept.failures] == [True]


def test_features_that_are_slightly_more_than_the_gigabytes_given_are_refused(
    file: Path, tmp_path: Path
) -> None:
    backbone = make_backbone("support.probed_scenes:Small", pretrained=False)
    layout = FeatureCache.open(tmp_path / "any", backbone).layout((24, 32))
    gigabytes = 6 * layout.file_bytes / 1e9
    head, first = FILE.replace("seeds = 2", "seeds = 1").split("[[backbones]]")[:2]
    cache = f"[cache]\ngigabytes = {0.9995 * gigabytes}\n"
    file.write_text(f"{head}{cache}[[backbones]]{first}")
    with pytest.raises(InputError, match="the feature cache is full"):
        sweep_probes(file, SweepOptions(output=tmp_path / "out", device="cpu"), show=False)


@pytest.mark.slow
def test_a_file_takes_the_cells_of_files_with_a_part_of_its_backbones(
    file: Path, tmp_path: Path
) -> None:
    head, small = FILE.split("[[backbones]]")[:2]
    options = SweepOptions(output=tmp_path / "out", device="cpu")
    parts = []
    for label in ("first", "second"):
        parts.append(f'[[backbones]]{small}label = "{label}"\n')
        file.write_text(head + parts[-1])
        sweep_probes(file, options, show=False)
    finished = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("cell.json")}
    file.write_text(head + "".join(parts))
    assert len(sweep_probes(file, options, show=False).cells) == len(finished) == 4
    assert finished == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("cell.json")}


@pytest.mark.slow
def test_a_run_that_was_cut_is_passed_over_with_what_to_do(file: Path, tmp_path: Path) -> None:
    text = FILE.replace("seeds = 2", "seeds = 1")
    file.write_text(text.rsplit("[[backbones]]", 3)[0])
    options = SweepOptions(output=tmp_path / "out", device="cpu")
    [cell] = sweep_probes(file, options, show=False).cells
    run = tmp_path / "out" / cell.run
    (run / "cell.json").unlink()
    config = (run / "config.json").read_bytes()
    (run / "config.json").write_bytes(config[:500] + b"\0" * len(config[500:]))
    with pytest.raises(InputError, match="delete the folder of the run to restart"):
        sweep_probes(file, options, show=False)
    shutil.rmtree(run)
    assert sweep_probes(file, options, show=False).cells[0].run == cell.run


@pytest.mark.slow
def test_the_command_says_the_table_and_that_cells_were_passed_over(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = FILE.replace("seeds = 2", "seeds = [4]")
    file.write_text(text)
    assert main(["probe", str(file), "-o", str(tmp_path / "out"), "--device", "cpu"]) == 1
    printed = capsys.readouterr()
    assert "\nsupport.probed_scenes:Small (random), linear  " in printed.out
    assert "the normals are no better than a constant on 6 training images" in printed.out
    assert "seed 4 seems to have learned nothing:" in (tmp_path / "out" / "table.md").read_text()
    assert "skipped" in printed.err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("epochs = 2", "epoch = 2", "no training field 'epoch'; did you mean 'epochs'"),
        ("epochs = 2", "epochs = 0", "epochs must be 1 or more"),
        ("seeds = 2", "sedes = 2", "has no 'sedes'; did you mean 'seeds'"),
        ('"linear"', '"liner"', "no probe 'liner'; did you mean 'linear'"),
        ('["both"]', '["dept"]', 'tasks.* is "dept", expected one of depth'),
        ("size = [24, 32]", "size = [24]", "size is .*expected a list of 2"),
        ('root = "scenes"', "root = 3", "data.root is 3, expected a text"),
        ("seeds = 2", "seeds = [1, 1]", "the same entry twice in seeds"),
        ("seeds = 2", "seeds = 0", "a sweep needs at least one entry in seeds"),
        ("seeds = 2", "seeds = ", "is not a valid sweep file"),
        ("limit = 3", 'input_crop = "nyu"', "input_crop does not accept 'nyu'"),
        ("limit = 3", 'benchmarks = ["normals"]', "none of the benchmarks normals scores depth"),
    ],
)
def test_a_slip_in_the_file_is_said_in_one_line(
    file: Path, tmp_path: Path, old: str, new: str, words: str
) -> None:
    assert old in FILE
    file.write_text(FILE.replace(old, new))
    with pytest.raises((InputError, OptionError), match=words) as caught:
        sweep_probes(file, SweepOptions(output=tmp_path / "out", device="cpu"), show=False)
    assert "\n" not in str(caught.value)


def test_the_example_can_be_read() -> None:
    folder = Path(__file__).parents[3] / "examples"
    assert len(read_sweep(folder / "probes_nyuv2.toml").backbones) == 6


def test_a_record_of_a_cell_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cell.json").write_text('{"title": "x"')
    with pytest.raises(InputError, match="delete it to score the cell again"):
        read_cell(tmp_path)
