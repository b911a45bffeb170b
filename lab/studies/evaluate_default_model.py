"""Evaluate the embedded models on frames with measured depth that they never saw.

    RILIEVO_DATA=... python lab/studies/evaluate_default_model.py [--models A B.onnx] [--json FILE]

Every set is scored by benchmarks of rilievo: a row has the numbers that ``rilievo evaluate --model
M --benchmark B`` gives. Prints a Markdown table; the JSON is what ``write_default_card.py`` makes
the models' cards of. Below the models stands what one scores that never looks: the mean depth and
normal of each row of NYU's training frames.
"""

import argparse
import multiprocessing
import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from default_scores import Row, Scores, rows_of, table
from examination import Judged, Part, ids_of, judge, parts_of
from real_sets import REAL_SETS, RealSet
from row_prior import RowPrior, learn_row_prior
from sureness import Calibration, FrameSureness, calibration

from rilievo.errors import OptionError, RilievoError
from rilievo.models import load_model
from rilievo.models.base import Model
from rilievo.models.default.embedded import embedded_cards


@dataclass(frozen=True, slots=True, kw_only=True)
class Contest:
    """The models and data of an evaluation; it is sent to other processes.

    Attributes:
        models: Names or ONNX files.
        prior: The baseline that ignores the photograph.
        data: Folder of the downloads.
    """

    models: tuple[str, ...]
    prior: RowPrior
    data: Path

    def load(self) -> list[Model]:
        """Load the models, with one thread each, and append the prior.

        Raises:
            OptionError: If two call themselves the same.
        """
        models: list[Model] = [load_model(each, device="cpu", threads=1) for each in self.models]
        names = [each.card.name for each in models]
        if len(set(names)) < len(names):
            raise OptionError(f"two of the models call themselves the same: {', '.join(names)}")
        return [*models, self.prior]


class _Hall:
    """A scoring process: its models are loaded once, and each set is opened once."""

    def __init__(self, contest: Contest) -> None:
        self._contest, self._models = contest, contest.load()
        self._parts: dict[str, tuple[Part, ...]] = {}

    def judge(self, name: str, id: str) -> list[Judged]:
        if name not in self._parts:
            self._parts[name] = parts_of(REAL_SETS[name], self._contest.data)
        return judge(self._models, self._parts[name], id)


_HALLS: list[_Hall] = []


def _open(contest: Contest) -> None:
    _HALLS[:] = [_Hall(contest)]


def _judge(work: tuple[str, str]) -> list[Judged]:
    return _HALLS[0].judge(*work)


def examine(contest: Contest, sets: Mapping[str, RealSet], *, workers: int) -> Scores:
    """Score every model on every set, with frames in parallel.

    Raises:
        RilievoError: If a set or a model is not there, or a model has no score on a set.
    """
    names = [model.card.name for model in contest.load()]
    rows, sure = list[Row](), dict[str, list[Judged]]()
    # Forked processes would inherit the locks of ONNX Runtime's threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _open, (contest,)) as pool:
        opened = {name: parts_of(real, contest.data) for name, real in sets.items()}
        work = [(name, id) for name, parts in opened.items() for id in ids_of(parts)]
        answers = pool.map(_judge, work, chunksize=2)
        for name, parts in opened.items():
            judged = [each for _ in ids_of(parts) for each in next(answers)]
            rows += rows_of(names, sets[name].title, parts, judged)
            sure.setdefault(sets[name].label, []).extend(judged)
            sys.stderr.write(f"{name}\n")
    return Scores(rows=tuple(rows), calibrations=calibrations(names, sure))


def calibrations(
    names: Sequence[str], judged: Mapping[str, Sequence[Judged]]
) -> tuple[Calibration, ...]:
    """Calibration of every model that predicts a confidence, over all frames, given by camera."""
    kept: dict[int, dict[str, list[FrameSureness]]] = {}
    for camera, frames in judged.items():
        for each in frames:
            if each.sureness is not None:
                cameras = kept.setdefault(each.model, {})
                cameras.setdefault(camera, []).append(each.sureness)
    return tuple(calibration(names[model], kept[model]) for model in sorted(kept))


def main() -> None:
    """Read the options, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [card.name for card in embedded_cards()]
    parser.add_argument("--models", nargs="+", default=names, help="names or ONNX files")
    parser.add_argument("--json", type=Path, help="where to write the scores")
    parser.add_argument("--sets", nargs="+", default=list(REAL_SETS), help="only these")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    options = parser.parse_args()
    if "RILIEVO_DATA" not in os.environ:
        sys.exit("error: set RILIEVO_DATA to the folder that holds the sets")
    data = Path(os.environ["RILIEVO_DATA"])
    prior = learn_row_prior(data / REAL_SETS["nyu"].place)
    contest = Contest(models=tuple(options.models), prior=prior, data=data)
    sets = {name: REAL_SETS[name] for name in options.sets}
    scores = examine(contest, sets, workers=options.workers)
    sys.stdout.write(table(scores.rows))
    if options.json:
        scores.write(options.json)


if __name__ == "__main__":
    try:
        main()
    except RilievoError as error:
        sys.exit(f"error: {error}")
