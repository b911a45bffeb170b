"""Parts of the page that a server behind it adds."""

from collections.abc import Mapping

from rilievo.geometry.cameras.spelling import LENSES
from rilievo.prediction.output import OUTPUTS, Need, UsualSize

EXAMPLES: Mapping[str, str] = {
    "tent": "A tent before mountains",
    "houseboat": "A houseboat",
    "hat": "A woman with a hat",
    "cafe": "Two people at a table",
    "coffee": "A cup of coffee",
    "bear": "A bear",
}
"""Photographs to try, by the name of their file; the first is shown when the page opens."""

FILES: Mapping[str, str] = {name: row.label or name for name, row in OUTPUTS.own.items()}
"""Files to download, by the names of outputs."""

SIZES: Mapping[str, UsualSize] = {
    **{name: row.usual_size for name, row in OUTPUTS.own.items() if row.usual_size is not None},
    "side": UsualSize(0, 3.2, 99),
    "anaglyph": UsualSize(0, 1.6, 99),
}
"""Usual sizes of files, by the names of outputs and of layouts of stereo pictures."""

DOWNLOADS: Mapping[str, str] = {
    **{name: FILES[name] for name, row in OUTPUTS.own.items() if row.in_browser},
    "side": "Stereo, side by side",
    "anaglyph": "Stereo, red and cyan",
}
"""Files that scripts make, by the names of outputs and of layouts of stereo pictures."""

SURFACES = frozenset(name for name, row in OUTPUTS.own.items() if Need.CAMERA in row.needs)
"""Outputs that are made where there is a surface."""

CHOICES: Mapping[str, str] = {
    "": "as it looks",
    **{row.choice: row.label for row in LENSES.values() if row.choice},
}
"""Lenses that visitors name, as the option ``projection`` spells them."""

VIDEOS: Mapping[str, str] = {
    name: row.video.words for name, row in OUTPUTS.own.items() if row.video and row.video.words
}
"""Outputs of a video, the first unless others are chosen."""
