"""``save`` when the disk is full, and when it is killed at any moment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rilievo.io.files.atomic import sweep_parts
from rilievo.io.outputs.sidecar import read_sidecar
from rilievo.io.verification import verify
from rilievo.prediction.output import import_function
from rilievo.prediction.readback import read_prediction
from rilievo.prediction.saving import OUTPUTS, SaveOptions, save
from support.killed_writes import die_at
from support.predictions import prediction

FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from support.predictions import prediction
from rilievo.errors import OutputError
from rilievo.prediction.saving import OUTPUTS, SaveOptions, save

root = Path(sys.argv[1])
noise = prediction(values=np.random.default_rng(0).uniform(1, 1.01, (150, 200)))
for name in OUTPUTS:
    save(noise, root / name, [name])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
for name in OUTPUTS:
    try:
        save(noise, root / name, [name], SaveOptions(overwrite=True))
    except OutputError as error:
        print(error)
"""


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def run_python(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )


@pytest.mark.slow
def test_a_disk_that_is_full_is_one_line_for_every_format(tmp_path: Path) -> None:
    """The system lets no file grow; libraries say so in ways of their own."""
    ended = run_python(FULL, str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    large = {
        name: path
        for name, output in OUTPUTS.items()
        if (path := tmp_path / f"{name}{output.suffix}").stat().st_size > 20_000
    }
    # These pictures have two and four values, so they never grow so large.
    assert set(OUTPUTS) - set(large) == {"sky", "kitti"}
    for line, path in zip(lines, large.values(), strict=True):
        assert line.startswith(f"{path}: ")
    assert len(names(tmp_path)) == 2 * len(OUTPUTS)


KILLS = """
import os, sys
from pathlib import Path
from support.predictions import prediction
from rilievo.prediction.saving import SaveOptions, save
from rilievo.records.depth_map import DepthKind

root, before, after = Path(sys.argv[1]), sys.argv[2].split(","), sys.argv[3].split(",")
old, new = prediction(DepthKind.METRIC), prediction(DepthKind.UP_TO_SCALE)
save(new, root / "warm" / "photo", after)
step = 0
while True:
    folder = root / f"step-{step:02}"
    if before != ["nothing"]:
        save(old, folder / "photo", before)
    child = os.fork()
    if child == 0:
        left = step
        def kill(event, arguments):
            global left
            if event == "open":
                changes = isinstance(arguments[1], str) and arguments[1][0] in "wax+"
            else:
                changes = event in ("os.rename", "os.remove", "os.mkdir")
            if changes and str(arguments[0]).startswith(str(folder)):
                left -= 1
                if left < 0:
                    os._exit(9)
        sys.addaudithook(kill)
        save(new, folder / "photo", after, SaveOptions(overwrite=True))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status == 0:
        break
    step += 1
print(step)
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [("nothing", "npy,colour,png16"), ("colour,npy", "npy,png16"), ("npz", "npz")],
)
def test_a_kill_at_any_moment_leaves_whole_files_that_are_known_as_ours(
    tmp_path: Path, before: str, after: str
) -> None:
    """Killed before every single change of the folder, of a first run and of an overwriting one."""
    ended = run_python(KILLS, str(tmp_path), before, after)
    assert ended.returncode == 0, ended.stderr
    steps = int(ended.stdout)
    assert steps >= 8
    for step in range(steps):
        folder = tmp_path / f"step-{step:02}"
        if not folder.exists():
            continue
        sweep_parts(folder)
        check_whole(folder)
        # What a killed run left behind is made anew without asking.
        is_finished = (folder / "photo.json").exists()
        options = SaveOptions(overwrite=is_finished)
        save(prediction(), folder / "photo", after.split(","), options)
        sidecar = read_sidecar(folder / "photo.json")
        known = {facts.file for facts in sidecar.files} | {*sidecar.earlier, "photo.json"}
        assert names(folder) == known


def check_whole(folder: Path) -> None:
    """If the JSON is there, so is everything it lists, whole and of the kind it says."""
    for path in folder.iterdir():
        if path.name.endswith((".png", ".npy", ".npz")):
            assert path.stat().st_size > 500
    if not (folder / "photo.json").exists():
        return
    sidecar = read_sidecar(folder / "photo.json")
    assert sidecar.depth is not None
    for facts in sidecar.files:
        assert (folder / facts.file).exists()
        if OUTPUTS[facts.output].reader:
            depth = read_prediction(folder / facts.file).depth
            assert depth is not None
            assert depth.kind == sidecar.depth.kind
            if OUTPUTS[facts.output].json_reader:
                text = import_function(OUTPUTS[facts.output].json_reader)(folder / facts.file)
                assert json.loads(text)["depth"]["kind"] == sidecar.depth.kind


def test_saving_removes_the_parts_that_a_killed_process_left(tmp_path: Path) -> None:
    program = """
import os, signal, sys
from pathlib import Path
from rilievo.io.files.atomic import new_part

new_part(Path(sys.argv[1]) / "photo.glb")
os.kill(os.getpid(), signal.SIGKILL)
"""
    run_python(program, str(tmp_path))
    [part] = names(tmp_path)
    save(prediction(), tmp_path / "photo", ["npy"])
    assert names(tmp_path) == {"photo.depth.npy", "photo.json"}, part


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_an_added_output_leaves_the_checksums_of_the_others_at_any_moment(tmp_path: Path) -> None:
    stem = tmp_path / "photo"
    save(prediction(), stem, ["npz"])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    died, number = True, 0
    while died:
        number += 1
        died = die_at(number, tmp_path, lambda: save(prediction(), stem, ["pfm"]))
        names_in_record = [facts.file for facts in read_sidecar(tmp_path / "photo.json").files]
        assert names_in_record in (["photo.npz"], ["photo.npz", "photo.depth.pfm"])
        assert verify(tmp_path).is_whole
        # The same command goes on.
        if names_in_record == ["photo.npz"]:
            save(prediction(), stem, ["pfm"])
        assert verify(tmp_path).whole == 2
        for path in tmp_path.iterdir():
            path.unlink()
        for path, content in before.items():
            path.write_bytes(content)
    assert number > 6


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_an_output_that_a_kill_left_unfinished_is_added_without_losing_the_record(
    tmp_path: Path,
) -> None:
    stem = tmp_path / "photo"
    record = tmp_path / "photo.json"

    def add_pfm() -> None:
        save(prediction(), stem, ["pfm"])

    # Killed after the new file has its name, and before the record is replaced.
    died, number = True, 0
    while died and not (tmp_path / "photo.depth.pfm").exists():
        number += 1
        for path in tmp_path.iterdir():
            path.unlink()
        save(prediction(), stem, ["npz"])
        died = die_at(number, tmp_path, add_pfm)
    assert died
    # The next save of another output takes the unfinished file into its record.
    save(prediction(), stem, ["npy"])
    assert "photo.depth.pfm" in read_sidecar(record).earlier

    died, number = True, 0
    while died:
        number += 1
        died = die_at(number, tmp_path, add_pfm)
        assert {"photo.npz", "photo.depth.npy"} <= {
            facts.file for facts in read_sidecar(record).files
        }
    assert "photo.depth.pfm" in {facts.file for facts in read_sidecar(record).files}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_saving_the_same_again_keeps_the_record_at_any_moment(tmp_path: Path) -> None:
    stem = tmp_path / "photo"
    save(prediction(), stem, ["npz", "pfm"])
    before = read_sidecar(tmp_path / "photo.json").files
    died, number = True, 0
    while died:
        number += 1
        died = die_at(number, tmp_path, lambda: save(prediction(), stem, ["npz"]))
        assert {*read_sidecar(tmp_path / "photo.json").names} == {facts.file for facts in before}
        assert verify(tmp_path).is_whole
    assert number > 6
