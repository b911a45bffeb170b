"""Sentences of the cards that hold for one embedded model only."""

from file_facts import FileFacts

_PURPOSES = {
    "rilievo/base": """\
`rilievo/base` is the default model for photographs. From one photograph, it
predicts depth up to scale, surface normals and a confidence.

The model file of `rilievo/base` contains several networks, which work together
(`lab/making/fused_graph.py`):

- Two layout networks (encoder EfficientNet-Lite2) predict how near and far things are. They see a
  small version of the photograph, of about 49,000 pixels. One of them sees its mirror image. The
  layout is the mean of the two predictions.
- A decoder for normals predicts which way surfaces face. It reads the features of the first layout
  network (`lab/making/normals_training.py`).
- A detail network (encoder MobileNetV2) sees 197,000 pixels, and adds detail finer than a 24x32
  grid.
- A final step sharpens outlines: it moves the depth of each pixel there to one of the two sides
  (`lab/making/outline_network.py`).

The confidence and the sky come from the layout networks. The confidence was then adjusted, so that\
 it
matches the share of pixels that are right. This was done with 60 frames of NYU that were kept out\
 of
training, and with 168 rendered frames (`lab/making/recalibrate.py`).""",
    "rilievo/small": """\
`rilievo/small` is the default model for videos, live views and the static page. From one picture,
it predicts depth up to scale, surface normals and a confidence. It is five times as fast as
`rilievo/base`, so you can also use it for photographs (`--quality fast`).""",
}
_TRAINED = {
    # what the file of rilievo/base says, and the same as the card says it
    "scenes rendered by rilievo's own renderer (textures: procedural, photographs of Kodak's and "
    "scikit-image's, materials of ambientCG; 3-D models of AWS RoboMaker worlds, MIT-0, and of the "
    "Gazebo model collection, CC BY 3.0, of Kenney, Poly Haven, MakeHuman and Quaternius, CC0, of "
    "dm_control, Apache-2.0, and of Sketchfab, CC BY 4.0, by authors named in NOTICE), 735 of the "
    "795 training frames of NYU Depth V2's labelled set, and an earlier rilievo/base's answers for "
    "126 photographs; the encoder started from ImageNet weights of EfficientNet-Lite2 by Google, "
    "ported by ML Illustrated (Apache-2.0) (layout), and rendered indoor and outdoor scenes; NYU "
    "Depth V2 (labelled set, train split); encoder from ImageNet (detail)": """\
The layout networks of `rilievo/base` were trained on three kinds of pictures:

- scenes from rilievo's own renderer. Their textures are procedural, or come from photographs
  (Kodak, scikit-image) and materials (ambientCG). Their 3-D models come from AWS RoboMaker worlds
  (MIT-0), the Gazebo model collection (CC BY 3.0), Kenney, Poly Haven, MakeHuman and Quaternius
  (CC0), dm_control (Apache-2.0), and Sketchfab (CC BY 4.0; NOTICE names the authors).
- 735 of the 795 training frames of NYU Depth V2's labelled set
- 126 photographs, with the depth that an earlier `rilievo/base` predicted for them

The encoder started from ImageNet weights of EfficientNet-Lite2 by Google, ported by ML
Illustrated (Apache-2.0). The decoder for normals was trained on such scenes, on the frames of
NYU, and on 175 photographs, whose normals it had to keep. The detail network was trained on
rendered indoor and outdoor scenes, and on the training frames of NYU Depth V2's labelled set. Its
encoder also started from ImageNet weights.""",
    # the same of rilievo/small
    "scenes rendered by rilievo.datasets.synthetic (textures: procedural, photographs of Kodak's "
    "and scikit-image's) and 735 of the 795 training frames of NYU Depth V2's labelled set; the "
    "encoder started from ImageNet weights of the ONNX model zoo (Apache-2.0)": """\
`rilievo/small` was trained on scenes from rilievo's own renderer, and on 735 of the 795
training frames of NYU Depth V2's labelled set. The textures of the scenes are procedural, or come
from photographs (Kodak, scikit-image). The encoder started from ImageNet weights of the ONNX model
zoo (Apache-2.0).""",
}


def purpose(facts: FileFacts) -> str:
    """What the model is for, and what it is made of."""
    return _PURPOSES.get(
        facts.name,
        f"`{facts.name}` predicts depth {facts.kind.replace('_', ' ')}, surface normals and a "
        "confidence for one photograph.",
    )


def training(facts: FileFacts) -> str:
    """What the model was trained on.

    A file that says anything else than the texts here were written for is quoted.
    """
    return _TRAINED.get(facts.trained_on, f"`{facts.name}` was trained on {facts.trained_on}.")
