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
MOST_SHARPENING = 60
_BESIDE, _SHARP = "beside the network, --sharp off", "beside the network, sharp"


def run(settings: Settings) -> Report:
    [photo] = make_photographs(settings.folder("photo"), 1, SIDE)
    rounds = settings.count(20, quick=3)
    rows = {
        what: spread([1e3 * each for each in seconds])
        for what, seconds in answer_of("loop", photo, str(rounds)).items()
    }
    beside, sharp = (rows[what].median for what in (_BESIDE, _SHARP))
    return Report(
        name="loop",
        about=(
            "`rilievo.predict(path)` in a loop in one process, a JPEG of 3464x3464 by its path: "
            "CPU time of each call, of the network with its resizing, and of the rest, which is "
            "reading the photograph and depth at its size, without and with sharpening. "
            "Normals and confidence are enlarged when they are read, which these calls do not do."
        ),
        tables=(
            Table(
                columns=("12 megapixels", "CPU ms a call"),
                rows=[(what, str(each)) for what, each in rows.items()],
            ),
        ),
        bars=(
            Bar(
                promise=(
                    f"at most {MOST_MILLISECONDS} CPU-ms beside start-up and the network, "
                    "without sharpening"
                ),
                measured=f"{beside:.0f} ms",
                kept=beside <= MOST_MILLISECONDS,
            ),
            Bar(
                promise=f"sharpening adds at most {MOST_SHARPENING} CPU-ms",
                measured=f"{sharp - beside:.0f} ms",
                kept=sharp - beside <= MOST_SHARPENING,
            ),
        ),
    )


def _main(photo: Path, rounds: int) -> dict[str, list[float]]:
    import rilievo
    from rilievo.models.finders import DEFAULT_MODEL
    from rilievo.models.last import last_model

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
    for call in range(2 * (rounds + 1)):
        start = time.process_time()
        rilievo.predict(photo, sharp=call % 2 == 1)
        whole.append(time.process_time() - start)
    pairs = list(zip(whole, network, strict=True))[2:]  # the first calls load more
    beside = [call - inside for call, inside in pairs]
    return {
        "the network": [inside for _, inside in pairs],
        _BESIDE: beside[::2],
        _SHARP: beside[1::2],
    }


if __name__ == "__main__":
    print(json.dumps(_main(Path(sys.argv[1]), int(sys.argv[2]))))
