"""Provenance of the networks that ship with rilievo."""

from collections.abc import Mapping

from lab.making.distil.small_export import Provenance

_SCENES = (
    "scenes rendered by rilievo's own renderer (textures: procedural, photographs of Kodak's and "
    "scikit-image's)"
)
_NYU = "735 of the 795 training frames of NYU Depth V2's labelled set"
_ENCODER = "the encoder started from ImageNet weights of the ONNX model zoo (Apache-2.0)"
_MODELS = (
    f"{_SCENES[:-1]}, materials of ambientCG; 3-D models of AWS RoboMaker worlds, MIT-0, "
    "and of the Gazebo model collection, CC BY 3.0"
)
_ALL_MODELS = (
    f"{_MODELS}, of Kenney, Poly Haven, MakeHuman and Quaternius, CC0, of dm_control, Apache-2.0, "
    "and of Sketchfab, CC BY 4.0, by authors named in NOTICE)"
)

PROVENANCES: Mapping[str, Provenance] = {
    "small": Provenance(
        name="rilievo/small", trained_on=f"{_SCENES} and {_NYU}; {_ENCODER}", area=64512
    ),
    "small-rendered": Provenance(
        name="rilievo/small-rendered",
        trained_on=f"{_SCENES}, and nothing else; {_ENCODER}",
    ),
    "layout": Provenance(
        name="rilievo/layout",
        trained_on=f"{_ALL_MODELS}, {_NYU}, and an earlier rilievo/base's answers for 126 "
        "photographs; the encoder started from ImageNet weights of EfficientNet-Lite2 by Google, "
        "ported by ML Illustrated (Apache-2.0)",
    ),
    "detail": Provenance(
        name="rilievo/detail",
        trained_on=f"{_ALL_MODELS} and {_NYU}; it started from rilievo/small",
        area=196_608,
    ),
}
"""Provenance of the networks that ship with rilievo, by recipe."""

WITHOUT_PHOTOGRAPHS = frozenset({"small-rendered"})
"""Recipes whose networks learn from rendered frames alone."""


def provenance_of(recipe: str, *, photographs: bool) -> Provenance:
    """Return the provenance of a network trained by a recipe, with photographs or without.

    A network that does not ship with rilievo has the recipe's own name.
    """
    if recipe in PROVENANCES and photographs == (recipe not in WITHOUT_PHOTOGRAPHS):
        return PROVENANCES[recipe]
    return Provenance(
        name=recipe, trained_on=f"the frames that were given to the recipe '{recipe}'"
    )
