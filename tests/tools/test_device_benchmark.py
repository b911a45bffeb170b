"""The tables that a user of a GPU sends: times, the machine, and agreement with the processor."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmarks import device

import rilievo

SMALL = "rilievo/small"


@pytest.fixture
def tables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[list[dict[str, str]]]:
    """Rows of both tables for one model on the processor, as texts by their column."""
    counts = ("--rounds", "1", "--batch-size", "2", "--threads", "1")
    monkeypatch.setattr(sys, "argv", ["device", SMALL, "--device", "cpu", *counts])
    assert device.main() == 0
    return [read_table(text) for text in capsys.readouterr().out.strip().split("\n\n")]


def read_table(text: str) -> list[dict[str, str]]:
    columns, _, *rows = [line.strip("| ").split(" | ") for line in text.splitlines()]
    assert all(len(row) == len(columns) for row in rows)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def test_a_model_has_a_row_for_each_photograph_with_times_and_differences(
    tables: list[list[dict[str, str]]],
) -> None:
    _, rows = tables
    assert [row["photograph"] for row in rows] == ["1280x960", "960x1280", "1280x720"]
    assert [row["network sees"] for row in rows] == ["288x224", "224x288", "352x192"]
    for row in rows:
        assert row["model"] == SMALL
        assert row["device, engine, precision"] == "cpu, onnxruntime, fp32"
        assert float(row["greatest difference"]) <= 1e-5
        times = [text for column, text in row.items() if ", ms" in column and "opens" not in column]
        assert len(times) == 5
        assert all(0 < float(text) < 60_000 for text in times)
    assert float(rows[0]["opens, ms"]) > 0
    assert {row["opens, ms"] for row in rows[1:]} == {""}


def test_the_machine_is_described(tables: list[list[dict[str, str]]]) -> None:
    machine = {row["what"]: row["value"] for row in tables[0]}
    assert machine["rilievo"] == rilievo.__version__
    assert "onnxruntime " in machine["engines"]
    assert f"{os.cpu_count()} cores" in machine["processor"]


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a shell script")
def test_gpus_are_named_as_nvidia_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    query = "--query-gpu=name,driver_version,memory.total --format=csv,noheader"
    program.write_text(
        f"#!/bin/sh\ntest \"$*\" = '{query}' || exit 9\n"
        "echo 'NVIDIA L4, 580.95.05, 23034 MiB'\necho 'NVIDIA T4, 580.95.05, 15360 MiB'\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    expected = "NVIDIA L4, 580.95.05, 23034 MiB; NVIDIA T4, 580.95.05, 15360 MiB"
    assert dict(device.describe_machine())["GPU, driver, memory"] == expected
    program.write_text("#!/bin/sh\necho 'no devices were found' >&2; exit 6\n")
    assert dict(device.describe_machine())["GPU, driver, memory"] == "no devices were found"


def test_differences_are_fractions_of_the_range_of_depth() -> None:
    depth = np.linspace(1, 5, 400, dtype=np.float32).reshape(20, 20)

    @rilievo.model(kind="metric")
    def on_cpu(pixels: np.ndarray) -> np.ndarray:
        return depth

    @rilievo.model(kind="metric")
    def on_gpu(pixels: np.ndarray) -> np.ndarray:
        return depth + np.where(np.arange(400).reshape(20, 20) == 7, 0.5, 0.125).astype(np.float32)

    photo = rilievo.Photo(pixels=np.zeros((20, 20, 3), np.uint8))
    models = [rilievo.load_model(function) for function in (on_gpu, on_cpu)]
    most, median = device.depth_difference(models[0], models[1], photo)
    assert most == pytest.approx(0.5 / 4, rel=1e-4)
    assert median == pytest.approx(0.125 / 4, rel=1e-4)


def test_a_device_that_is_not_there_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["device", SMALL, "--device", "directml"])
    assert device.main() == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "device 'directml' is not available" in captured.err
    assert captured.err.count("\n") == 1
