"""Steps that follow a new network, in order; ``calibrate.py`` runs them.

The order matters: ranges and scores read the recalibrated confidence, cards read scores, speed and
ranges, pictures show cards' numbers, and journeys and tests come last.
"""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BASE = "src/rilievo/models/default/base.onnx"
_SMALL = "src/rilievo/models/default/small.onnx"
_RANGES = "src/rilievo/measure/ranges.json"
_STUDIES = "lab/studies"
KINDS = ("all", "near-views", "furnished", "bathrooms", "desks", "corridors", "low-views")
"""Kinds of rendered scenes on which confidence is recalibrated."""
_SEED, _COUNT = 599, 24
_FURNITURE = ("aws", "gazebo", "kenney", "polyhaven")

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Commands with one purpose.

    Attributes:
        name: Name, as ``--only`` takes it.
        purpose: Result, in a few words.
        commands: Words of each command; ``{folder}``, ``{data}``, ``{network}`` and ``{workers}``
            stand for those of the run, and ``python`` for the interpreter that runs this.
        reads: Files whose change makes the step run again; see ``calibrate.sum_of``.
        writes: Files that the step writes.
        output: File for what the command prints, if it is a result.
        minutes: Time on one core.
        afterwards: Work that is left to a person.
    """

    name: str
    purpose: str
    commands: tuple[Command, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    output: str | None = None
    minutes: float
    afterwards: str = ""


def _words(line: str) -> Command:
    return tuple(line.split())


def _scenes(kind: str) -> Command:
    photos = "--photos {data}/photos_kodak24 --materials {data}/materials_ambientcg"
    models = " ".join(f"{{data}}/furniture_{name}" for name in _FURNITURE)
    return _words(
        f"python -m lab.scenes --count {_COUNT} --seed {_SEED} --kind {kind} {photos} "
        f"--models {models} -o {{folder}}/unseen/{kind}"
    )


STEPS: tuple[Step, ...] = (
    Step(
        name="network",
        purpose="the network before recalibration, in the folder of the run",
        commands=(_words("python -m lab.making.uncalibrated {network} {folder}/network.onnx"),),
        reads=("{network}",),
        writes=("{folder}/network.onnx",),
        minutes=0.1,
    ),
    Step(
        name="frames",
        purpose="rendered frames of seeds that no training saw",
        commands=tuple(_scenes(kind) for kind in KINDS),
        reads=("lab/scenes/*.py",),
        writes=("{folder}/unseen/all/shard-00000.npz",),
        minutes=4,
    ),
    Step(
        name="confidence",
        purpose="confidence recalibrated on frames that no training saw",
        commands=(
            _words(
                "python -m lab.making.recalibrate {folder}/network.onnx --real "
                f"{{data}}/nyuv2_labeled_8bit --shards {{folder}}/unseen -o {_BASE}"
            ),
        ),
        reads=("{folder}/network.onnx", "lab/making/recalibrate.py"),
        writes=(_BASE,),
        minutes=2,
    ),
    Step(
        name="ranges",
        purpose="errors to expect of metres",
        commands=(_words(f"python {_STUDIES}/calibrate_ranges.py --write"),),
        reads=(
            _BASE,
            f"{_STUDIES}/calibrate_ranges.py",
            f"{_STUDIES}/range_fit.py",
            f"{_STUDIES}/range_frames.py",
            "src/rilievo/calibration/*.py",
            "src/rilievo/measure/expected_errors.py",
            "src/rilievo/measure/ranges.py",
        ),
        writes=(f"{_RANGES}#!anchored", f"{_STUDIES}/judged_ranges.json"),
        minutes=6,
    ),
    Step(
        name="anchored-ranges",
        purpose="errors to expect of anchored metres",
        commands=(_words(f"python {_STUDIES}/calibrate_anchored_ranges.py --write"),),
        reads=(
            _BASE,
            f"{_STUDIES}/calibrate_anchored_ranges.py",
            f"{_STUDIES}/calibrate_ranges.py",
            "src/rilievo/alignment/anchor.py",
            "src/rilievo/calibration/*.py",
            "src/rilievo/measure/ranges.py",
        ),
        writes=(f"{_RANGES}#anchored",),
        minutes=6,
        afterwards="docs/reference/models-measured.md, anchored depth: anchored-ranges.log",
    ),
    Step(
        name="anchoring",
        purpose="the table of anchored depth with a true answer",
        commands=(_words(f"python {_STUDIES}/try_anchoring.py"),),
        reads=(_BASE, f"{_STUDIES}/try_anchoring.py", "src/rilievo/alignment/anchor.py"),
        writes=("{folder}/anchoring.md",),
        output="{folder}/anchoring.md",
        minutes=2,
        afterwards="docs/reference/models-measured.md and docs/models.md: anchoring.md",
    ),
    Step(
        name="sky",
        purpose="the chance from which on a pixel is sky, checked on rendered streets",
        commands=(_words(f"python {_STUDIES}/check_sky.py --shards {{folder}}/unseen"),),
        reads=(_BASE, f"{_STUDIES}/check_sky.py"),
        writes=("{folder}/sky.md",),
        output="{folder}/sky.md",
        minutes=1,
        afterwards="docs/reference/training-record.md, sky: sky.md",
    ),
    Step(
        name="panel",
        purpose="the panel's verdict on base against small",
        commands=(
            _words(f"python {_STUDIES}/judge_models.py rilievo/small rilievo/base --only-deciding"),
        ),
        reads=(_BASE, _SMALL, _RANGES, f"{_STUDIES}/judge_models.py", f"{_STUDIES}/panel*.py"),
        writes=("{folder}/panel.md",),
        output="{folder}/panel.md",
        minutes=5,
        afterwards="a row of looks in docs/reference/training-record.md: panel.md",
    ),
    Step(
        name="scores",
        purpose="scores of the embedded models on real frames",
        commands=(
            _words(
                f"python {_STUDIES}/evaluate_default_model.py --workers {{workers}} "
                "--json {folder}/scores.json"
            ),
        ),
        reads=(
            _BASE,
            _SMALL,
            f"{_STUDIES}/evaluate_default_model.py",
            f"{_STUDIES}/examination.py",
            f"{_STUDIES}/sureness.py",
            f"{_STUDIES}/real_sets.py",
        ),
        writes=("{folder}/scores.json",),
        minutes=12,
    ),
    Step(
        name="speed",
        purpose="milliseconds of the networks alone; wants two idle cores",
        commands=(_words("python -m benchmarks.embedded --json {folder}/speed.json"),),
        reads=(_BASE, _SMALL, "benchmarks/embedded.py"),
        writes=("{folder}/speed.json",),
        minutes=2,
        afterwards="docs/reference/benchmarks.md: make figures",
    ),
    Step(
        name="cards",
        purpose="cards of the models, README's table, and the megabytes in the table of models",
        commands=(
            _words(
                f"python {_STUDIES}/write_default_card.py {{folder}}/scores.json "
                "--speed {folder}/speed.json --panel {folder}/panel.md"
            ),
        ),
        reads=(
            _BASE,
            _SMALL,
            _RANGES,
            f"{_STUDIES}/judged_ranges.json",
            "{folder}/scores.json",
            "{folder}/speed.json",
            "{folder}/panel.md",
            f"{_STUDIES}/write_default_card.py",
            f"{_STUDIES}/card_models.py",
            f"{_STUDIES}/card_words.py",
        ),
        writes=("src/rilievo/models/default/*.md",),
        minutes=0.2,
        afterwards="NOTICE, docs/models.md and lab/studies/card_models.py if the network is built "
        "or trained otherwise; docs/measure.md: ranges.log",
    ),
    Step(
        name="sheets",
        purpose="pictures of what the models were made for and what not",
        commands=(_words(f"python {_STUDIES}/write_default_pictures.py"),),
        reads=(_BASE, _SMALL, f"{_STUDIES}/write_default_pictures.py"),
        writes=("docs/pictures/default-base.jpg", "docs/pictures/default-small.jpg"),
        minutes=0.5,
    ),
    Step(
        name="pictures",
        purpose="pictures of the guides, and the chart, which reads the cards",
        commands=(_words(f"python {_STUDIES}/make_pictures.py"),),
        reads=(
            _BASE,
            _SMALL,
            "src/rilievo/models/default/*.md",
            f"{_STUDIES}/pictures.toml",
            f"{_STUDIES}/write_*.py",
            f"{_STUDIES}/make_pictures.py",
        ),
        writes=("docs/pictures/made.json",),
        minutes=12,
        afterwards="captions of docs/gallery.md, read beside the new pictures; alt text of README",
    ),
    Step(
        name="panoramas",
        purpose="figures of panoramas and fisheyes",
        commands=(_words(f"python {_STUDIES}/evaluate_panoramas.py"),),
        reads=(_BASE, f"{_STUDIES}/evaluate_panoramas.py"),
        writes=("{folder}/panoramas.md",),
        output="{folder}/panoramas.md",
        minutes=15,
        afterwards="docs/panoramas.md: panoramas.md",
    ),
    Step(
        name="journeys",
        purpose="stored answers of what users do",
        commands=(_words("python tests/journeys --update"),),
        reads=(_BASE, _SMALL, _RANGES, "tests/journeys/*.toml", "tests/journeys/*.py"),
        writes=("tests/journeys/expected/**/*.json",),
        minutes=8,
        afterwards="the change of tests/journeys/expected, read line by line",
    ),
    Step(
        name="tests",
        purpose="tests that know the network, the slow ones too",
        commands=(
            _words(
                "python -m pytest -p no:cacheprovider -q tests/models/test_default.py "
                "tests/measure tests/calibration tests/predicting/test_anchored.py "
                "tests/serving/assistant/test_assistant_rooms.py tests/test_documents.py "
                "lab/tests/making/test_recalibrate.py lab/tests/studies/test_judge_models.py"
            ),
        ),
        reads=(
            _BASE,
            _SMALL,
            _RANGES,
            "src/rilievo/models/default/*.md",
        ),
        writes=(),
        minutes=12,
    ),
)
"""Every step, in order."""
