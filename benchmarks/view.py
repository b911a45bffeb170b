"""Samples into FiftyOne: one call each, as its tutorials do, against ``rilievo view``'s bulk."""

import json
import resource
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.measure import NotHereError, answer_of
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import Settings

PROMISE = 3.0
"""Times faster than one ``sample.save()`` each."""
ROUNDS = 5
GROWTH = 1.1
"""Peak memory with all samples over that with a tenth of them."""
MODELS, METRICS = ("model/one", "model/two"), ("abs_rel", "rmse", "delta1")


def run(settings: Settings) -> Report:
    if find_spec("fiftyone") is None:
        raise NotHereError("FiftyOne is not installed: pip install 'rilievo[view]'")
    count = settings.count(5000, quick=500)
    photo = settings.folder("view") / "photo.jpg"
    photo.write_bytes(b"not opened")
    seconds = answer_of("view", "turns", str(count), str(photo))
    few, many = (
        answer_of("view", "bulk", str(number), str(photo))["megabytes"]
        for number in (count // 10, count)
    )
    new = seconds["save, new"] / seconds["bulk, new"]
    again = seconds["save, again"] / seconds["bulk, again"]
    rows = [(way, f"{each:.1f}", f"{count / each:.0f}") for way, each in seconds.items()]
    return Report(
        name="view",
        about=(
            f"{count} samples with three heat maps, {len(MODELS) * len(METRICS)} metrics and "
            f"metadata, in {ROUNDS} turns. 'save': each is added, gets its fields and is saved, "
            "or is changed and saved; 'bulk': put_rows, new and a second time."
        ),
        tables=(Table(columns=("way", "s", "samples a second"), rows=rows),),
        bars=(
            Bar(
                promise=f"{PROMISE:g} times faster than one sample.save() each",
                measured=f"{new:.1f} times when new, {again:.1f} times again",
                kept=min(new, again) >= PROMISE,
            ),
            Bar(
                promise="memory does not grow with the number of samples",
                measured=f"{few:.0f} MB with {count // 10}, {many:.0f} MB with {count}",
                kept=many <= GROWTH * few,
            ),
        ),
    )


def _main(way: str, count: int, photo: Path) -> dict[str, float]:
    from rilievo.evaluation.views.fiftyone.browse import connected

    fiftyone = connected()
    one, bulk = fiftyone.Dataset(), fiftyone.Dataset()
    one.media_type = bulk.media_type = "image"
    try:
        if way == "turns":
            return _turns(fiftyone, one, bulk, count, photo)
        _bulk(fiftyone, bulk, range(count), photo)
        return {"megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    finally:
        one.delete()
        bulk.delete()


def _turns(fiftyone: Any, one: Any, bulk: Any, count: int, photo: Path) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for when in ("new", "again"):
        for turn in range(ROUNDS):
            part = range(turn * count // ROUNDS, (turn + 1) * count // ROUNDS)
            for name, way, dataset in (("save", _save, one), ("bulk", _bulk, bulk)):
                start = time.perf_counter()
                way(fiftyone, dataset, part, photo)
                key = f"{name}, {when}"
                seconds[key] = seconds.get(key, 0) + time.perf_counter() - start
    assert len(one) == len(bulk) == count, "every sample is there, once"
    return seconds


def _rows(part: range, photo: Path) -> Iterator[Any]:
    from rilievo.evaluation.views.heat_maps import Limits
    from rilievo.evaluation.views.rows import Row, StoredMap

    fields = ("true_depth", *(name.replace("/", "_") for name in MODELS))
    for index in part:
        yield Row(
            id=f"scene/{index:06}",
            file=photo,
            mime="image/jpeg",
            width=640,
            height=480,
            split="test",
            maps={
                field: StoredMap(
                    path=Path(f"/maps/{field}/{index}.png"),
                    limits=Limits(low=500, high=5000 + index),
                    kind="metric",
                    unit="mm",
                    scale=0.001,
                    offset=0.0,
                )
                for field in fields
            },
            pictures={},
            numbers={
                f"{field}_{metric}": index / 1000 for field in fields[1:] for metric in METRICS
            },
            notes=(),
            surfaces=(),
            faults=(),
        )


def _bulk(fiftyone: Any, dataset: Any, part: range, photo: Path) -> None:
    from rilievo.evaluation.views.fiftyone.samples import put_rows

    for _ in put_rows(fiftyone, dataset, _items(), _rows(part, photo)):
        pass


def _save(fiftyone: Any, dataset: Any, part: range, photo: Path) -> None:
    """Save as the tutorials do; existing samples are matched in order."""
    there = iter(dataset[part.start : part.stop]) if len(dataset) > part.start else None
    for row in _rows(part, photo):
        if there is None:
            sample = fiftyone.Sample(filepath=str(photo), tags=["test"])
            dataset.add_sample(sample)
        else:
            sample = next(there)
        sample["image_id"], sample["split"] = row.id, row.split
        sample["metadata"] = fiftyone.ImageMetadata(width=row.width, height=row.height)
        for field, each in row.maps.items():
            limits = [float(each.limits.low), float(each.limits.high)]
            sample[field] = fiftyone.Heatmap(map_path=str(each.path), range=limits)
        for field, value in row.numbers.items():
            sample[field] = value
        sample.save()


def _items() -> Any:
    from rilievo.evaluation.metrics.metric import Better
    from rilievo.evaluation.records import Summary
    from rilievo.evaluation.views.readers import FolderImages
    from rilievo.evaluation.views.view_items import Column, ViewItems, named
    from rilievo.types import DepthKind, MadeBy

    made_by = MadeBy(model="", weights_sha256="", licence="", settings={}, version="")
    nothing: Any = None
    columns = [
        Column(
            label=name,
            field="",
            made_by=made_by,
            kind=DepthKind.METRIC,
            shows="metric",
            normals=False,
            predictions=nothing,
            ids=frozenset(),
            summaries=tuple(
                Summary(
                    metric=metric,
                    label=metric,
                    unit="",
                    better=Better.LOWER,
                    value=0.0,
                    per_image=0.0,
                    median=0.0,
                    images=1,
                    pixels=1,
                )
                for metric in METRICS
            ),
            scores={},
            unscored={},
        )
        for name in MODELS
    ]
    return ViewItems(
        name="benchmark",
        images=FolderImages(files={}),
        ids=(),
        columns=named(columns, [()] * len(columns)),
        absent={},
    )


if __name__ == "__main__":
    print(json.dumps(_main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))))
