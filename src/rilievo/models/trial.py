"""Trial of engines: ``auto`` takes the faster one for a file on this machine, and keeps the choice.

At the first use of a large file ONNX Runtime, the reference, and OpenVINO (extra ``fast``) each
predict one picture for a second. OpenVINO is taken if it is faster and its output agrees with the
reference. Only fp32 is tried: bf16 differs by about 1e-2, so it must be asked for.
"""

import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from rilievo.errors import OutputError
from rilievo.io.atomic import make_folder, replacing
from rilievo.models.base import Inference, Model
from rilievo.models.conversion.agreement import compare_answers, example_photo
from rilievo.models.engines import AUTO, ONNX_ENGINES, LoadOptions, cache_directory, package_version
from rilievo.models.hashes import sha256
from rilievo.models.providers import has_cuda

REFERENCE, RIVAL = ONNX_ENGINES
LEAST_BYTES = 16_000_000
"""Size from which a file is tried: a smaller network gains less than OpenVINO's start costs."""
_SECONDS = 1.0
_GAIN = 0.9  # of the reference's time: less gain would be decided by chance
_TOLERANCE = 1e-3

SomeModel = TypeVar("SomeModel", bound=Model)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Outcome of a trial.

    Attributes:
        engine: Engine to use.
        reference_seconds: Time of the reference for one picture; None if it was not timed to the
            end.
        rival_seconds: Time of OpenVINO; None if it cannot run the file.
        difference: Largest difference of the outputs, relative to their range.
    """

    engine: str
    reference_seconds: float | None = None
    rival_seconds: float | None = None
    difference: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """Output of a model for the picture, and its time."""

    answer: Inference
    seconds: float


def open_faster(
    load: Callable[[LoadOptions], SomeModel],
    path: Path,
    options: LoadOptions,
    weights_sha256: str | None = None,
    *,
    clock: Callable[[], float] = time.perf_counter,
) -> SomeModel:
    """Load a model with the faster engine if ``options`` leave the engine open."""
    if not _is_open(path, options):
        return load(options)
    place = _place(path, options, weights_sha256 or sha256(path))
    engine = _read(place) or _first(place, partial(_trial, load, options, clock)) or REFERENCE
    return load(replace(options, engine=engine))


def engine_again(model: Model, engine: str) -> str:
    """Engine for the same model in another process: the one in use here, in place of ``auto``."""
    used = str(model.settings.get("engine"))
    return used if engine == AUTO and used in ONNX_ENGINES else engine


def _is_open(path: Path, options: LoadOptions) -> bool:
    """Whether there are two engines to choose from, and the file is large enough to matter."""
    if options.engine != AUTO or options.precision != "fp32" or find_spec("openvino") is None:
        return False
    if options.device not in ("auto", "cpu") or (options.device == "auto" and has_cuda()):
        return False
    return sum(_sizes(path)) >= LEAST_BYTES


def _sizes(path: Path) -> Iterator[int]:
    """Sizes of a file and of those with its weights beside it [bytes]."""
    with suppress(OSError), os.scandir(path.parent) as entries:
        yield from (each.stat().st_size for each in entries if each.name.startswith(path.name))


def _trial(
    load: Callable[[LoadOptions], Model], options: LoadOptions, clock: Callable[[], float]
) -> Trial:
    # One after the other, so that memory holds one model at a time.
    try:
        reference = _run(load, replace(options, engine=REFERENCE), clock)
    except Exception:  # what is wrong is said by the prediction, of the user's own photograph
        return Trial(engine=REFERENCE)
    try:
        rival = _run(load, replace(options, engine=RIVAL), clock)
        difference = compare_answers(reference.answer, rival.answer).most
    except Exception:
        return Trial(engine=REFERENCE, reference_seconds=reference.seconds)
    faster = rival.seconds <= _GAIN * reference.seconds
    return Trial(
        engine=RIVAL if faster and difference <= _TOLERANCE else REFERENCE,
        reference_seconds=reference.seconds,
        rival_seconds=rival.seconds,
        difference=difference,
    )


def _run(
    load: Callable[[LoadOptions], Model], options: LoadOptions, clock: Callable[[], float]
) -> _Run:
    """Predict the picture for a second; the least time counts."""
    model = load(options)
    photo = example_photo()
    spent: list[float] = []
    while True:
        start = clock()
        [answer] = model.infer([photo])
        spent.append(clock() - start)
        if sum(spent) >= _SECONDS:
            return _Run(answer=answer, seconds=min(spent))


def _place(path: Path, options: LoadOptions, weights_sha256: str) -> Path:
    """Record of the choice for this network, its settings, the processor and the packages."""
    facts = {
        "weights": [weights_sha256, list(_sizes(path))],
        "settings": dict(options.settings),
        "processor": [_processor(), os.cpu_count(), options.threads],
        "packages": [package_version(name) for name in ONNX_ENGINES],
    }
    name = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    return cache_directory() / "engines" / f"{name[:32]}.json"


def _processor() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _read(place: Path) -> str | None:
    """Engine that was chosen; None without a valid record."""
    try:
        engine = json.loads(place.read_text(encoding="utf-8"))["engine"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return engine if engine in ONNX_ENGINES else None


def _first(place: Path, make: Callable[[], Trial]) -> str | None:
    """Engine of the trial that one process makes, for which the others wait.

    None where it cannot be recorded, because each process could then choose differently.
    """
    from filelock import FileLock

    with suppress(OSError, OutputError):
        make_folder(place.parent)
        with FileLock(f"{place}.lock"):
            engine = _read(place)
            if engine is not None:
                return engine
            # Kept in case that OpenVINO crashes in the trial, so that the next process does not.
            _write(place, Trial(engine=REFERENCE))
            trial = make()
            _write(place, trial)
            sys.stderr.write(f"rilievo: timed once: {_words(trial)}\n")
            return trial.engine
    return None


def _write(place: Path, trial: Trial) -> None:
    with replacing(place) as part:
        part.write_text(json.dumps(asdict(trial), indent=1) + "\n", encoding="utf-8")


def _words(trial: Trial) -> str:
    if trial.reference_seconds is None:
        return f"{REFERENCE}, because the trial's picture does not fit this network"
    if trial.rival_seconds is None:
        return f"{REFERENCE}, because {RIVAL} cannot run this network"
    return (
        f"{trial.engine} ({REFERENCE} {trial.reference_seconds or 0:.2g} s, {RIVAL} "
        f"{trial.rival_seconds:.2g} s, {trial.difference:.0e} apart)"
    )
