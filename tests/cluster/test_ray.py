"""Work on a real Ray cluster of three machines' processes, with workers killed on the way."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.cluster import ray_tasks
from rilievo.cluster.ray_tasks import LOCAL, Pool, work_on_ray
from rilievo.errors import MissingExtraError, RilievoError
from rilievo.evaluation.evaluation_run import evaluate
from rilievo.evaluation.options import EvaluateOptions
from rilievo.predicting.options import BatchOptions, PredictOptions
from rilievo.predicting.predict_across import predict_across
from rilievo.predicting.run import predict_files
from rilievo.predicting.work_processes import Report
from support.failing_ray import NodeDiedError, failing_ray

MakeNetwork = Callable[..., Path]
TESTS = Path(__file__).parent.parent

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="the extra 'cluster' is not installed"
)


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def write_photos(folder: Path) -> Path:
    (folder / "deep").mkdir(parents=True)
    for number in range(14):
        pixels = np.random.default_rng(number).integers(0, 255, (60, 80, 3), np.uint8)
        Image.fromarray(pixels).save(folder / ("deep" if number % 2 else "") / f"{number:02d}.png")
    (folder / "broken.png").write_bytes(b"no image")
    return folder


def write_toy(root: Path) -> Path:
    root.mkdir()
    random = np.random.default_rng(0)
    names = [f"n{number}" for number in range(6)]
    for name in names:
        depth = random.uniform(1, 5, (48, 64)).astype(np.float32)
        image = random.integers(0, 255, (48, 64, 3), np.uint8)
        np.savez(root / f"{name}.npz", image=image, depth=depth)
    (root / "test.txt").write_text("\n".join(names))
    return root


@needs_ray
def test_a_cluster_whose_workers_are_killed_writes_the_files_of_one_machine(
    tmp_path: Path, make_network: MakeNetwork
) -> None:
    network = make_network()
    photos, toy = write_photos(tmp_path / "photos"), write_toy(tmp_path / "toy")
    options = PredictOptions(
        model=str(network), output=tmp_path / "plain", save="colour,npz,normals"
    )
    plain = predict_files([photos], options, show=False)
    asked = EvaluateOptions(output=tmp_path / "scored", dataset="support.toy_dataset:Toy")
    evaluate(str(network), "depth", toy, asked, show=False)
    done = subprocess.run(
        [sys.executable, TESTS / "support" / "ray_cluster.py", network, photos, toy, tmp_path],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])

    assert (tmp_path / "killed").exists(), "a worker was killed"
    assert found["predicted"] == [14, 0, 1]
    assert found["failures"] == list(plain.failures)
    assert contents(tmp_path / "spread") == contents(tmp_path / "plain")

    number, [reason] = found["deadly"]
    assert number == 8
    assert reason.startswith("item 1: skipped, because its process was killed twice")
    assert found["refusal"] == "no model 'x'"

    assert found["scores"] == [f"n{number}" for number in range(6)]
    for name in ("predictions", "per_image.csv"):
        one, other = tmp_path / "scored" / name, tmp_path / "evaluated" / name
        if one.is_file():
            assert one.read_bytes() == other.read_bytes()
        else:
            assert contents(one) == contents(other)


@needs_ray
@pytest.mark.parametrize(
    "place", ["127.0.0.1:{port}", "ray://127.0.0.1:{port}", "no-such-host.invalid:6379"]
)
def test_an_address_without_a_cluster_is_refused_in_one_line(
    tmp_path: Path, closed_port: int, place: str
) -> None:
    address = place.format(port=closed_port)
    Image.new("RGB", (80, 60)).save(tmp_path / "a.png")
    given = PredictOptions(output=tmp_path / "out")
    with pytest.raises(RilievoError) as caught:
        predict_across([tmp_path / "a.png"], given, BatchOptions(ray=address), show=False)
    assert str(caught.value).startswith(f"ray {address}: no Ray cluster answers at this address")
    assert "\n" not in str(caught.value)


def test_auto_without_a_cluster_names_the_flag_that_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def init(**options: object) -> None:
        raise ConnectionError("Could not find any running Ray instance {ray=auto}")

    monkeypatch.setattr(ray_tasks, "_import_ray", lambda: SimpleNamespace(init=init))
    Image.new("RGB", (80, 60)).save(tmp_path / "a.png")
    words = ["predict", str(tmp_path / "a.png"), "--ray", "auto", "-o", str(tmp_path / "out")]
    assert main(words) == 2
    line = capsys.readouterr().err
    assert line.startswith("rilievo: --ray auto: no Ray cluster answers at this address")
    assert "running Ray instance {ray=auto}" in line
    assert line.endswith("or use --ray local\n")


def test_local_is_no_advice_where_local_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def init(**options: object) -> None:
        raise RuntimeError("The current node timed out during startup {ray}")

    monkeypatch.setattr(ray_tasks, "_import_ray", lambda: failing_ray(init=init))
    Image.new("RGB", (80, 60)).save(tmp_path / "a.png")
    words = ["predict", str(tmp_path / "a.png"), "--ray", "local", "-o", str(tmp_path / "out")]
    assert main(words) == 2
    assert capsys.readouterr().err == (
        "rilievo: --ray local: Ray cannot be started on this machine (The current node timed out "
        "during startup {ray}); use --workers without --ray\n"
    )


@pytest.mark.parametrize("error", [NodeDiedError(), ConnectionError("the client is disconnected")])
def test_a_node_that_dies_ends_with_what_is_kept(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: Exception,
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(ray_tasks, "_import_ray", lambda: failing_ray(good=3, fail=fail))
    photos = write_photos(tmp_path / "photos")
    assert main(["predict", str(photos), "--ray", "auto", "-o", str(tmp_path / "out")]) == 2
    lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("rilievo: ")]
    assert len(lines) == 1
    assert lines[0].startswith(f"rilievo: --ray auto: the cluster failed ({type(error).__name__}: ")
    assert lines[0].endswith(
        "); rilievo has finished 9 of 15 inputs; to resume, run the same command again"
    )


def test_threads_of_the_work_end_before_ray_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that asks Ray for rows after Ray has shut down would end the process."""
    ended: list[str] = []
    monkeypatch.setattr(ray_tasks, "_import_ray", lambda: failing_ray(good=3, ended=ended))
    reports = work_on_ray(SimpleNamespace(), "abc", count=3, pool=Pool(address=LOCAL))
    assert next(reports).done == 1
    reports.close()
    assert ended == ["thread", "ray"]


def test_a_process_that_ray_ends_leaves_a_line_of_what_is_kept(tmp_path: Path) -> None:
    """As Ray's compiled part ends it, without an exception."""
    photos = write_photos(tmp_path / "photos")
    done = subprocess.run(
        [sys.executable, TESTS / "support" / "failing_ray.py", photos, tmp_path / "out"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "rilievo: the command was killed, for example because a node failed; rilievo has finished "
        "6 of 15 inputs; to resume, run the same command again"
    )


def test_the_end_of_the_process_that_waits_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM for a group of processes ends it too."""
    monkeypatch.setattr(ray_tasks, "_WATCHER_CODE", "import sys; sys.stdin.close()")
    progress = ray_tasks._Progress(2)
    with ray_tasks._message_if_killed(progress):
        time.sleep(1.0)
        progress.add(Report(done=1))
    assert str(progress).startswith("rilievo has finished 1 of 2 inputs")


def test_without_ray_its_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (80, 60)).save(tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "ray", None)
    given = PredictOptions(output=tmp_path / "out")
    with pytest.raises(MissingExtraError, match=r"pip install 'rilievo\[cluster\]'"):
        predict_across([tmp_path / "a.png"], given, BatchOptions(ray="local"), show=False)
