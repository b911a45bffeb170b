"""One benchmark in a process of its own, whatever becomes of it.

A benchmark leaves its memory, threads and settings to whatever runs after it in the same process,
and the system hands the peak memory of a process down to those that it starts.

Usage: python -m benchmarks.apart NAME WORK WEIGHTS RESULT.json [--quick]
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from benchmarks.measure import ROOT, BenchmarkError, Machine, NotHereError, this_machine
from benchmarks.report import Report, markdown_table, report_from
from benchmarks.settings import Settings
from rilievo.errors import MissingExtraError


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of a benchmark, or the reason why there is none.

    Attributes:
        name: Name of the benchmark.
        status: ``skipped`` means that this machine lacks something the benchmark needs.
        reason: Reason why it was skipped or has failed; empty if it was done.
        quick: Whether counts were small.
        machine: Machine and its load at the start.
        date: Start, in UTC.
        seconds: Time on the clock.
        report: Figures, if it was done.
    """

    name: str
    status: Literal["done", "skipped", "failed"]
    reason: str
    quick: bool
    machine: Machine
    date: str
    seconds: float
    report: Report | None


def run_apart(
    name: str, *, weights: Path, quick: bool = False, limit: float | None = None
) -> Outcome:
    """Run a benchmark in a process of its own.

    Args:
        name: Name of the benchmark, a module of ``benchmarks``.
        weights: The ONNX file that is measured.
        quick: Whether to use small counts.
        limit: Time after which it is stopped, with all that it started, and has failed [s].
    """
    machine, date = this_machine(), datetime.now(UTC).isoformat(timespec="seconds")
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rilievo-benchmark-") as folder:
        work, result = Path(folder, "work"), Path(folder, "result.json")
        work.mkdir()
        options = ["--quick"] if quick else []
        said = _run([name, work, weights, result, *options], limit)
        answer = json.loads(result.read_text("utf-8")) if result.is_file() else {}
    answer = answer or {"status": "failed", "reason": said, "report": None}
    return Outcome(
        name=name,
        status=answer["status"],
        reason=answer["reason"],
        quick=quick,
        machine=machine,
        date=date,
        seconds=time.monotonic() - start,
        report=report_from(answer["report"]),
    )


def to_markdown(outcome: Outcome) -> str:
    """Format a section of a Markdown page."""
    report = outcome.report
    if report is None:
        return f"## {outcome.name}\n\n{outcome.status}: {outcome.reason}\n"
    parts = [f"## {report.name}", report.about, f"Measured on {outcome.machine}."]
    if outcome.quick:
        parts.append("**A quick run, to see that everything works: the figures mean little.**")
    parts += [markdown_table(table) for table in report.tables]
    parts += [
        f"- {'kept' if bar.kept else '**missed**'}: {bar.promise}; measured: {bar.measured}"
        for bar in report.bars
    ]
    return "\n\n".join(parts) + "\n"


def write_outcome(outcome: Outcome, path: Path, **more: str) -> None:
    """Write an outcome as JSON, with more entries."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps({**asdict(outcome), **more}, indent=1) + "\n"
    part = path.with_suffix(".part")
    part.write_text(data, encoding="utf-8")
    part.replace(path)


def outcome_from(data: Mapping[str, Any]) -> Outcome:
    """Read an outcome from JSON."""
    names = Outcome.__dataclass_fields__
    entries: dict[str, Any] = {name: each for name, each in data.items() if name in names}
    machine, report = Machine(**data["machine"]), report_from(data["report"])
    return Outcome(**(entries | {"machine": machine, "report": report}))


def _run(arguments: list[str | Path], limit: float | None) -> str:
    """Run ``_main`` in a session of its own; returns why it wrote no result, if so."""
    # The kernel hands a peak of memory on to the program that a process turns into, not to its
    # children: so the shell has that of a large caller, and what it starts begins from nothing.
    shell = ("sh", "-c", '"$@"; exit $?', "sh")
    command = [*shell, sys.executable, "-m", "benchmarks.apart", *map(str, arguments)]
    with subprocess.Popen(
        command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            _, said = process.communicate(timeout=limit)
        except BaseException as error:
            os.killpg(process.pid, signal.SIGKILL)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            return f"stopped after {limit:.0f} s"
    lines = said.decode(errors="replace").strip().splitlines()
    return f"ended with {process.returncode}: {lines[-1] if lines else 'nothing said'}"


def _main(name: str, settings: Settings) -> dict[str, Any]:
    try:
        report = import_module(f"benchmarks.{name}").run(settings)
    except (NotHereError, MissingExtraError) as error:
        return {"status": "skipped", "reason": str(error), "report": None}
    except ModuleNotFoundError as error:
        lacking = f"the package {error.name} is not installed: pip install --group benchmark"
        return {"status": "skipped", "reason": lacking, "report": None}
    except BenchmarkError as error:
        return {"status": "failed", "reason": str(error), "report": None}
    except Exception:
        return {"status": "failed", "reason": traceback.format_exc(), "report": None}
    return {"status": "done", "reason": "", "report": asdict(report)}


if __name__ == "__main__":
    _name, _work, _weights, _result, *_options = sys.argv[1:]
    _settings = Settings(quick="--quick" in _options, work=Path(_work), weights=Path(_weights))
    Path(_result).write_text(json.dumps(_main(_name, _settings)), encoding="utf-8")
