"""A program that scores in two processes, which take for ever: for a test that kills it."""

import os
import sys
import time
from pathlib import Path

from rilievo.data.datasets import open_dataset
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.evaluation_plan import IMAGES_PER_PROCESS
from rilievo.evaluation.scoring.pool import score_all
from rilievo.evaluation.scoring.score_job import ScoreJob
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import MadeBy, PredictionRecord
from support.stored_answers import stored


class SlowAnswers:
    """Leaves the number of its process in a folder, and does not answer."""

    made_by = MadeBy(model="m", weights_sha256="", licence="", settings={}, version="1")
    kind = DepthKind.METRIC

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, id: str) -> PredictionRecord:
        (self.folder / str(os.getpid())).touch()
        time.sleep(600)
        return stored()


if __name__ == "__main__":
    root, folder = map(Path, sys.argv[1:])
    dataset = open_dataset("support.tiny_dataset:Tiny", root)
    job = ScoreJob(benchmark=BENCHMARKS["depth"], dataset=dataset, predictions=SlowAnswers(folder))
    list(score_all(job.score, dataset.ids * IMAGES_PER_PROCESS, processes=2))
