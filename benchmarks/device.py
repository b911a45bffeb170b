"""Times of a device, and its agreement with the processor.

Command: python -m benchmarks.device [MODEL...] --device cuda. It prints tables that say on which
machine the models ran, how long they took, and how far their depth differs from that of the
processor. It needs only the core of rilievo, and runs on every system.
"""

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import numpy as np
from PIL import Image, ImageOps

import rilievo
from rilievo.cli.parsing import parse
from rilievo.errors import RilievoError
from rilievo.errors.messages import for_terminal, set_terminal_spelling, spell_flag
from rilievo.models.base import Model, PreparedModel
from rilievo.models.default.embedded import EMBEDDED
from rilievo.options.run_options import Engine
from rilievo.schema.fields import option

PHOTOGRAPHS = {"room.jpg": (960, 1280), "street.jpg": (1280, 960), "rock.jpg": (720, 1280)}
"""Photographs in the package, and height and width after cropping and resizing [px]."""
ENGINES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "openvino", "torch")
"""Packages whose versions are stated if they are installed."""


@dataclass(frozen=True, kw_only=True)
class Arguments(Engine):
    """Models to measure, and on what."""

    models: Annotated[tuple[str, ...], option(positional=True, metavar="MODEL")] = ()
    """Names of models, or ONNX files; by default rilievo/base and rilievo/small."""
    rounds: Annotated[int, option(minimum=1)] = 30
    """Number of measurements of each time, of which the median is shown."""
    batch_size: Annotated[int, option(minimum=1)] = 8
    """Number of photographs in a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Times of a model for one photograph [ms], and its agreement with the processor.

    Attributes:
        model: Name of the model, or its file.
        settings: Engine, precision and device, as predictions record them.
        shape: Height and width of the photograph [px].
        network_size: Height and width of the network's input [px]; None if the model has no rule.
        opening: Opening the model; None if it was open before.
        first: First run at this size.
        next: Run of a size that has run before.
        batch: The same in a batch, per photograph.
        whole: From the JPEG file to depth and normals in the photograph's size.
        on_cpu: Run on the processor.
        most: Greatest difference of depth from that of the processor, as a fraction of its range.
        median: Median of these differences.
    """

    model: str
    settings: Mapping[str, object]
    shape: tuple[int, int]
    network_size: tuple[int, int] | None
    opening: float | None
    first: float
    next: float
    batch: float
    whole: float
    on_cpu: float
    most: float
    median: float


def main() -> int:
    """Measure, print the tables and return the exit code."""
    set_terminal_spelling(spell_flag)
    try:
        arguments = parse(
            Arguments,
            sys.argv[1:],
            prog="python -m benchmarks.device",
            description="Measure models on a device, and compare their depth with the processor's. "
            "Tables are printed as Markdown.",
            examples=("python -m benchmarks.device --device cuda",),
        )
        with tempfile.TemporaryDirectory(prefix="rilievo-device-") as folder:
            files = write_photographs(Path(folder))
            measured = [
                measurement
                for name in arguments.models or EMBEDDED
                for measurement in measure_model(name, arguments, files)
            ]
    except RilievoError as error:
        print(for_terminal(error), file=sys.stderr)
        return 2
    print(markdown_table(("what", "value"), describe_machine()))
    print(markdown_table(COLUMNS, [table_row(measurement) for measurement in measured]))
    return 0


def write_photographs(folder: Path) -> list[Path]:
    """Write ``PHOTOGRAPHS`` as JPEG files into a folder."""
    source_folder = Path(rilievo.__file__).parent / "models" / "near_and_far"
    files = []
    for name, (height, width) in PHOTOGRAPHS.items():
        path = folder / name
        with Image.open(source_folder / name) as image:
            ImageOps.fit(image, (width, height)).save(path, quality=90)
        files.append(path)
    return files


def measure_model(name: str, arguments: Arguments, files: Sequence[Path]) -> Iterator[Measurement]:
    """Measure one model with photographs, beginning with the one that is opened with the model."""
    start = time.perf_counter()
    model = rilievo.load_model(
        name,
        device=arguments.device,
        engine=arguments.engine,
        precision=arguments.precision,
        threads=arguments.threads,
    )
    opening: float | None = 1e3 * (time.perf_counter() - start)
    cpu_model = rilievo.load_model(name, device="cpu", threads=arguments.threads)
    for path in files:
        yield measure_photograph(name, path, model, cpu_model, arguments, opening)
        opening = None


def measure_photograph(
    name: str,
    path: Path,
    model: Model,
    cpu_model: Model,
    arguments: Arguments,
    opening: float | None,
) -> Measurement:
    """Measure a model with one photograph of a size that the model has not seen."""
    photo = rilievo.read_photo(path)
    batch = [photo] * arguments.batch_size
    first = milliseconds(lambda: model.infer([photo]))
    most, median = depth_difference(model, cpu_model, photo)
    milliseconds(lambda: model.infer(batch))  # the first run of this size
    return Measurement(
        model=name,
        settings=model.settings,
        shape=photo.shape,
        network_size=(
            model.preparation.size(photo.shape) if isinstance(model, PreparedModel) else None
        ),
        opening=opening,
        first=first,
        next=median_milliseconds(lambda: model.infer([photo]), arguments.rounds),
        batch=median_milliseconds(lambda: model.infer(batch), arguments.rounds) / len(batch),
        whole=median_milliseconds(lambda: rilievo.predict(path, model=model), arguments.rounds),
        on_cpu=median_milliseconds(lambda: cpu_model.infer([photo]), arguments.rounds),
        most=most,
        median=median,
    )


def depth_difference(model: Model, cpu_model: Model, photo: rilievo.Photo) -> tuple[float, float]:
    """Greatest and median difference of depth, as fractions of the range on the processor.

    Both are NaN if a model predicts no depth.
    """
    [inference] = model.infer([photo])
    [expected] = cpu_model.infer([photo])
    if inference.depth is None or expected.depth is None:
        return float("nan"), float("nan")
    valid = np.isfinite(expected.depth)
    if expected.valid is not None:
        valid &= expected.valid
    depth_range = np.ptp(expected.depth[valid])
    differences = np.abs(inference.depth - expected.depth)[valid] / depth_range
    return float(differences.max()), float(np.median(differences))


def milliseconds(call: Callable[[], object]) -> float:
    """Time of a call [ms]."""
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def median_milliseconds(call: Callable[[], object], rounds: int) -> float:
    """Median time of several calls [ms]."""
    return statistics.median(milliseconds(call) for _ in range(rounds))


def describe_machine() -> list[tuple[str, str]]:
    """Versions and hardware, as rows of a table."""
    versions = [f"{name} {found}" for name in ENGINES if (found := _installed_version(name))]
    return [
        ("rilievo", rilievo.__version__),
        ("system", f"{platform.platform()}, Python {platform.python_version()}"),
        ("processor", f"{_processor()}, {os.cpu_count()} cores"),
        ("GPU, driver, memory", _nvidia_gpus()),
        ("engines", ", ".join(versions)),
    ]


def _installed_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _nvidia_gpus() -> str:
    """Names, drivers and memory of NVIDIA's GPUs, by their own program."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return "no nvidia-smi"
    query = ["--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    finished = subprocess.run([program, *query], capture_output=True, text=True)
    lines = (finished.stdout if finished.returncode == 0 else finished.stderr).splitlines()
    return "; ".join(lines) or "nvidia-smi lists none"


COLUMNS = (
    "model",
    "device, engine, precision",
    "photograph",
    "network sees",
    "opens, ms",
    "first at this size, ms",
    "next, ms",
    "in a batch, ms each",
    "whole prediction, ms",
    "on the CPU, ms",
    "greatest difference",
    "in the median",
)


def table_row(measurement: Measurement) -> tuple[str, ...]:
    """Cells of a measurement, in the order of ``COLUMNS``."""
    settings = measurement.settings
    return (
        measurement.model,
        f"{settings['device']}, {settings['engine']}, {settings['precision']}",
        _size(measurement.shape),
        "" if measurement.network_size is None else _size(measurement.network_size),
        "" if measurement.opening is None else f"{measurement.opening:.0f}",
        f"{measurement.first:.1f}",
        f"{measurement.next:.1f}",
        f"{measurement.batch:.1f}",
        f"{measurement.whole:.1f}",
        f"{measurement.on_cpu:.1f}",
        f"{measurement.most:.1e}",
        f"{measurement.median:.1e}",
    )


def _size(shape: tuple[int, int]) -> str:
    """Size in words, width first."""
    return f"{shape[1]}x{shape[0]}"


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Table in Markdown, which ends with an empty line."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
