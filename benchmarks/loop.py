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


def run(settings: Settings) -> Report:
    [photo] = make_photographs(settings.folder("photo"), 1, SIDE)
    rounds = settings.count(20, quick=3)
    rows = {
        what: spread([1e3 * each for each in seconds])
        for what, seconds in answer_of("loop", photo, str(rounds)).items()
    }
    beside = rows["beside the network"].median
    return Report(
        name="loop",
        about=(
            "`rilievo.predict(path)` in a loop in one process, a JPEG of 3464x3464 by its path: "
            "CPU time of each call, of the network with its resizing, and of the rest, which is "
            "reading the photograph and depth at its size. Normals and confidence are enlarged "
            "when they are read, which these calls do not do."
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
        ),
    )


def _main(photo: Path, rounds: int) -> dict[str, list[float]]:
    import rilievo
    from rilievo.models.last import last_model
    from rilievo.models.listing import DEFAULT_MODEL

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
        "the whole call": [call for call, _ in pairs],
        "the network": [inside for _, inside in pairs],
        "beside the network": [call - inside for call, inside in pairs],
    }


if __name__ == "__main__":
    print(json.dumps(_main(Path(sys.argv[1]), int(sys.argv[2]))))
