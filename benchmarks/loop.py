"""``rilievo.predict`` in a loop over photographs of 12 megapixels.

Usage: python -m benchmarks.loop PHOTO ROUNDS
"""

import json
import sys
import time
from pathlib import Path

from benchmarks.measure import answer_of, spread
from benchmarks.photographs import make_photographs
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import Settings

SIDE = 3464
MOST_MILLISECONDS = 130
_BESIDE = "beside the network"
_TO_FILES = {"colour": 130, "png16": 170}
"""Most CPU milliseconds to each output, beside start-up and the network."""


def run(settings: Settings) -> Report:
    [photo] = make_photographs(settings.folder("photo"), 1, SIDE)
    rounds = settings.count(20, quick=3)
    rows = {
        what: spread([1e3 * each for each in seconds])
        for what, seconds in answer_of("loop", photo, str(rounds)).items()
    }
    beside = rows[_BESIDE].median
    return Report(
        name="loop",
        about=(
            "If your own program calls `rilievo.predict(path)` in a loop, how much time does it "
            "spend on anything but the network? To find out, this benchmark runs such a loop in "
            "one process, and predicts the depth of a JPEG file of 3464x3464 again and again.\n\n"
            "The table shows how much time each call of `rilievo.predict` spends inside and "
            "outside the network:\n\n"
            "- *the network* is the time of the network, which includes resizing the photograph "
            "for it.\n"
            "- *beside the network* is the rest of the call, namely reading the photograph and "
            "enlarging its depth.\n"
            "- The last two rows are the time outside the network when rilievo processes a "
            "folder. Here, rilievo also writes the depth to a file."
        ),
        tables=(
            Table(
                columns=("12 megapixels", "CPU ms a call"),
                rows=[(what, str(each)) for what, each in rows.items()],
            ),
        ),
        bars=(
            Bar(
                promise=f"at most {MOST_MILLISECONDS} CPU-ms beside start-up and the network",
                measured=f"{beside:.0f} ms",
                kept=beside <= MOST_MILLISECONDS,
            ),
            *(
                Bar(
                    promise=f"at most {most} CPU-ms from JPEG to {name}",
                    measured=f"{rows[_to(name)].median:.0f} ms",
                    kept=rows[_to(name)].median <= most,
                )
                for name, most in _TO_FILES.items()
            ),
        ),
    )


def _to(name: str) -> str:
    return f"beside the network, from JPEG to {name}"


def _main(photo: Path, rounds: int) -> dict[str, list[float]]:
    import rilievo
    from rilievo.models import last_model
    from rilievo.models.finding import DEFAULT_MODEL

    network: list[float] = []
    with last_model(DEFAULT_MODEL) as model:
        infer = model.infer

        def timed(*photos: object) -> object:
            start = time.process_time()
            try:
                return infer(*photos)  # pyright: ignore[reportArgumentType]
            finally:
                network.append(time.process_time() - start)

        model.infer = timed  # pyright: ignore[reportAttributeAccessIssue]
    whole: list[float] = []
    for _ in range(rounds + 1):
        start = time.process_time()
        rilievo.predict(photo)
        whole.append(time.process_time() - start)
    pairs = list(zip(whole, network, strict=True))[1:]  # the first call loads more
    return {
        "the network": [inside for _, inside in pairs],
        _BESIDE: [call - inside for call, inside in pairs],
        **{_to(name): _to_file(photo, rounds, name) for name in _TO_FILES},
    }


def _to_file(path: Path, rounds: int, name: str) -> list[float]:
    """CPU times of reading, depth at the photograph's size, and writing."""
    from rilievo.io.outputs.save_options import SaveOptions
    from rilievo.io.photographs.photo import read_photo
    from rilievo.models import last_model
    from rilievo.models.base import Inference
    from rilievo.models.finding import DEFAULT_MODEL
    from rilievo.models.refinement.refine import refined
    from rilievo.options.photo_options import Refine
    from rilievo.prediction.saving import save

    with last_model(DEFAULT_MODEL) as loaded:
        model = refined(loaded, Refine())
        [answer] = model.infer([read_photo(path)])
    options, spent = SaveOptions(overwrite=True), list[float]()
    for _ in range(rounds + 1):
        start = time.process_time()
        read = read_photo(path)
        prediction = model.finish(Inference(depth=answer.depth), read)
        save(prediction, path.with_name("alone"), (name,), options)
        spent.append(time.process_time() - start)
    return spent[1:]


if __name__ == "__main__":
    print(json.dumps(_main(Path(sys.argv[1]), int(sys.argv[2]))))
