"""The embedded networks side by side: the network alone, and a photograph's whole prediction.

Alone, of any models and files: python -m benchmarks.embedded [MODEL|FILE.onnx ...] [--json FILE]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import BenchmarkError, Spread, answer_of, in_turns, spread
from benchmarks.photographs import QUALITY, make_photographs
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import SHIPPED, Settings

EMBEDDED = ("rilievo/base", "rilievo/small")
MOST = {"rilievo/small": 30.0}
"""Most milliseconds that the network alone may take."""
THREADS = 2
HEIGHT, WIDTH = 480, 640
"""Size of the photograph [px]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Times of one model for one photograph.

    Attributes:
        name: Name of the model.
        size: Size (height, width) of the network's input [px].
        megabytes: Size of the file.
        network: The network alone, its input prepared [ms].
        predict: ``rilievo.predict`` from the JPEG file to depth and normals of its size [ms].
    """

    name: str
    size: tuple[int, int]
    megabytes: float
    network: Spread
    predict: Spread


def run(settings: Settings) -> Report:
    others = [] if settings.weights == SHIPPED else [settings.weights]
    rounds = settings.count(100, quick=5)
    answers = answer_of("embedded", *others, "--rounds", str(rounds))
    times = [_from_json(each) for each in answers]
    return Report(
        name="embedded",
        about=(
            "How long does one prediction take with the models that come with rilievo? In this "
            f"benchmark, each model processes one photograph of {WIDTH}x{HEIGHT} with ONNX "
            f"Runtime on {THREADS} threads. The table shows the time of the network alone, and "
            "the time of the whole prediction, which reads the JPEG file and returns depth and "
            "normals in the photograph's size."
        ),
        tables=(_table(times),),
        bars=tuple(_bar(each) for each in times if each.name in MOST),
    )


def _table(times: Sequence[Times]) -> Table:
    return Table(
        columns=("model", "sees", "MB", "network, ms", "whole prediction, ms"),
        rows=[
            (
                each.name,
                f"{each.size[1]}x{each.size[0]}",
                f"{each.megabytes:.1f}",
                str(each.network),
                str(each.predict),
            )
            for each in times
        ],
    )


def _bar(times: Times) -> Bar:
    most = MOST[times.name]
    return Bar(
        promise=f"the network of {times.name} takes {most:.0f} ms at most on {THREADS} threads",
        measured=f"{times.network.median:.1f} ms",
        kept=times.network.median <= most,
    )


def _measure(names: Sequence[str], path: Path, rounds: int) -> list[Times]:
    """Measure every model in turns: installed ones by name, others by file."""
    import rilievo
    from rilievo.models.onnx_files.onnx_model import OnnxModel

    photo = rilievo.read_photo(path)
    models: list[OnnxModel] = []
    for name in names:
        model = rilievo.load_model(name, device="cpu", engine="onnxruntime", threads=THREADS)
        if not isinstance(model, OnnxModel):
            raise BenchmarkError(f"model '{name}' is no ONNX file")
        models.append(model)

    def network(model: OnnxModel) -> Callable[[], float]:
        batch = model.preparation.pixels(photo.pixels)[None]
        return lambda: _milliseconds(lambda: model.run(batch))

    def predict(model: OnnxModel) -> Callable[[], float]:
        return lambda: _milliseconds(lambda: rilievo.predict(path, model=model))

    # By index, because two files may have the same name.
    alone = in_turns({str(k): network(each) for k, each in enumerate(models)}, rounds=rounds)
    whole = in_turns({str(k): predict(each) for k, each in enumerate(models)}, rounds=rounds)
    return [
        Times(
            name=model.card.name,
            size=model.preparation.size(photo.shape),
            megabytes=model.path.stat().st_size / 1e6,
            network=spread(alone[str(k)]),
            predict=spread(whole[str(k)]),
        )
        for k, model in enumerate(models)
    ]


def _milliseconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


def _from_json(answer: dict[str, Any]) -> Times:
    height, width = answer["size"]
    return Times(
        name=answer["name"],
        size=(height, width),
        megabytes=answer["megabytes"],
        network=Spread(**answer["network"]),
        predict=Spread(**answer["predict"]),
    )


def _photograph(folder: Path) -> Path:
    """A JPEG file of 640x480, cut out of a square one."""
    from PIL import Image

    [square] = make_photographs(folder, 1, WIDTH)
    path = folder / "photograph.jpg"
    with Image.open(square) as image:
        top = (WIDTH - HEIGHT) // 2
        image.crop((0, top, WIDTH, top + HEIGHT)).save(path, quality=QUALITY)
    return path


def _main() -> None:
    from rilievo.models import MODELS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", help="names or ONNX files besides those installed")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument(
        "--json",
        type=Path,
        help="where to write {model: ms of the network}; a file goes before the model of its name",
    )
    given = parser.parse_args()
    names = [*(name for name in EMBEDDED if name in MODELS), *given.models]
    with tempfile.TemporaryDirectory(prefix="rilievo-benchmark-") as work:
        times = _measure(names, _photograph(Path(work)), given.rounds)
    if given.json:
        medians = {each.name: round(each.network.median, 1) for each in times}
        given.json.write_text(json.dumps(medians, indent=1) + "\n", encoding="utf-8")
    print(json.dumps([asdict(each) for each in times]))


if __name__ == "__main__":
    _main()
