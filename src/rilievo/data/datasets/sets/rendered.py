"""Rendered scenes of ``python -m lab.scenes --files``."""

from rilievo.data.datasets.dataset import DatasetCard
from rilievo.data.datasets.folder import Folder

_CARD = DatasetCard(
    name="synthetic",
    title="Random scenes, rendered by rilievo",
    summary="ray-traced rooms, streets, open ground, close-ups and people, 0.1 to 400 m",
    homepage="docs/synthetic.md",
    licence="Apache-2.0",
    commercial=True,
    layout="""\
a folder that 'python -m lab.scenes --files -o FOLDER' writes, run in a checkout
images/0000000001.png        photographs
truth/0000000001.npz         depth [m] and normals
cameras/0000000001.txt       K, three rows
rilievo.yaml                 describes the files; may name splits, as for the dataset 'folder'""",
    splits=("all", "train", "valid", "test"),
    normals="exact normals of the rendered surfaces",
    extra="evaluate",
    caveats=(
        (
            "Shapes are boxes, balls, cones and sheets, so good scores on them say little about "
            "other scenes."
        ),
        (
            "The embedded models were trained on scenes of this kind: use a seed that was not "
            "used for training, as in docs/synthetic.md."
        ),
    ),
)


class Rendered(Folder):
    """Generated scenes with exact truth."""

    card = _CARD
