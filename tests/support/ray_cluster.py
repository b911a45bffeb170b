"""Work for the tests of Ray, on a cluster of three machines' processes with one core each.

Usage: python ray_cluster.py NETWORK PHOTOS TOY FOLDER. A process of its own, since Ray leaves
threads, sockets and warnings in the one that it is used in. It writes JSON.
"""

import json
import os
import sys
from pathlib import Path

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
os.environ["RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO"] = "0"

from ray.cluster_utils import Cluster

import rilievo.predicting.predict_across
from rilievo.cluster.ray_tasks import Pool, work_on_ray
from rilievo.errors import RilievoError
from rilievo.evaluation.evaluate_across import evaluate_across
from rilievo.evaluation.options import EvaluateOptions
from rilievo.predicting.options import BatchOptions, PredictOptions
from rilievo.predicting.predict_across import predict_across
from rilievo.predicting.work_processes import merge_reports
from support.killed_predictions import KilledPredictWork
from support.killed_work import Deadly


def main(network: str, photos: str, toy: str, folder: Path) -> None:
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    for _ in range(2):
        cluster.add_node(num_cpus=1)
    try:
        found = answers(cluster.address, network, photos, toy, folder)
        sys.stdout.write(json.dumps(found) + "\n")
    finally:
        cluster.shutdown()


def answers(address: str, network: str, photos: str, toy: str, folder: Path) -> dict[str, object]:
    batch = BatchOptions(ray=address)
    options = PredictOptions(model=network, output=folder / "spread", save="colour,npz,normals")
    rilievo.predicting.predict_across.PredictWork = KilledPredictWork
    first = predict_across([photos], options, batch, show=False)
    deadly = Deadly(folder=folder, always=("1",), once=("5",))
    items = [f"{number}" for number in range(9)]
    report = merge_reports(
        work_on_ray(deadly, items, count=9, pool=Pool(address=address, workers=2))
    )
    asked = EvaluateOptions(output=folder / "evaluated", dataset="support.toy_dataset:Toy")
    evaluation = evaluate_across(network, "depth", toy, asked, batch, show=False)
    return {
        "predicted": [first.done, first.finished_before, first.failed],
        "failures": first.failures,
        "nodes": 3,
        "deadly": [report.done, [each.reason for each in report.failures]],
        "refusal": refusal(address, folder),
        "scores": [each.id for each in getattr(evaluation, "scores", ())],
    }


def refusal(address: str, folder: Path) -> str:
    work = Deadly(folder=folder, refusal="no model 'x'")
    try:
        merge_reports(work_on_ray(work, ["1"], count=1, pool=Pool(address=address)))
    except RilievoError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    main(*sys.argv[1:4], Path(sys.argv[4]))
