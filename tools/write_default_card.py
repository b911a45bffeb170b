"""Write the embedded model's card from its ONNX file and its measured scores.

    python tools/write_default_card.py scores.json

``scores.json`` is what ``evaluate_default_model.py --json`` wrote. The card goes beside the model,
as ``card.json`` for programs and ``small.md`` for people.
"""

import argparse
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import onnx
from evaluate_default_model import Row, table

_FOLDER = Path(__file__).parents[1] / "src" / "rilievo" / "models" / "default"
_LIMITS = """\
Depth is right up to one unknown factor per photograph, so proportions mean something and sizes do
not until the scale is calibrated. The network sees about 49,000 pixels: what is thinner than a
hundredth of the picture is often missed, close views of boxes on a floor and large vehicles near
the camera come out worst, and oblique walls look too frontal. Sky is put at about twice the
farthest surface. Mirrors, glass, pictures of scenes, close-ups without context, aerial and
microscope pictures, and fisheye lenses are outside what it learnt. It is meant for previews,
surfaces of rooms and streets, and teaching; not for driving, surveying or anything where a wrong
distance harms somebody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultCard:
    """What is said of the embedded model.

    Attributes:
        name: As in ``MODELS``.
        kind: Of its depth.
        licence: SPDX identifier.
        parameters: Numbers in the graph, batch normalisation folded into the convolutions.
        size_bytes: Of the ONNX file.
        sha256: Of the ONNX file.
        trained_on: Images, and where the encoder came from.
        intended_use_and_limits: In words.
        accuracy: On photographs that were never trained on.
    """

    name: str
    kind: str
    licence: str
    parameters: int
    size_bytes: int
    sha256: str
    trained_on: str
    intended_use_and_limits: str
    accuracy: list[Row]


def read_card(path: Path, rows: list[Row]) -> DefaultCard:
    """Put together what the file and the scores say."""
    content = path.read_bytes()
    model = onnx.load_from_string(content)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    sizes = [
        int(onnx.numpy_helper.to_array(tensor).size)
        for tensor in model.graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
    ]
    return DefaultCard(
        name=facts["rilievo.name"],
        kind=facts["rilievo.kind"],
        licence=facts["rilievo.licence"],
        parameters=sum(sizes),
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        trained_on=facts["rilievo.trained_on"],
        intended_use_and_limits=_LIMITS.replace("\n", " "),
        accuracy=rows,
    )


def as_text(card: DefaultCard) -> str:
    """The card for people."""
    return f"""\
# {card.name}

Depth {card.kind.replace("_", " ")} and surface normals of one photograph.
{card.parameters / 1e6:.2f} million parameters, {card.size_bytes / 1e6:.1f} MB, {card.licence}.

Trained on {card.trained_on}.

{_LIMITS}

Accuracy on images that were never trained on, by `tools/evaluate_default_model.py`, each row under
the benchmark that it names (`rilievo benchmarks NAME`). Depth is brought to metres by one factor an
image, where medians agree; "log-affine" fits a factor and a power instead, which some images refuse
because near is taken for far on the whole (the count in brackets is of those that have a fit).
The NYU frames are every seventh of the official test set, with 8-bit in-painted depth: not the
official benchmark. Their photographs have a white frame: `nyuv2-eigen-filled` shows it to the
model and scores what lies inside, as the literature does; `-unframed` cuts it off before. Normals
of NYU are planes fitted to its depth, whose own noise is several degrees. "row prior" never
looks: it is the mean depth and normal of each image row of NYU's training frames.

{table(card.accuracy)}"""


def main() -> None:
    """Read the options, write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scores", type=Path)
    options = parser.parse_args()
    rows = [Row(**row) for row in json.loads(options.scores.read_text())]
    card = read_card(_FOLDER / "small.onnx", rows)
    (_FOLDER / "card.json").write_text(json.dumps(asdict(card), indent=2) + "\n")
    (_FOLDER / "small.md").write_text(as_text(card))


if __name__ == "__main__":
    main()
