"""Parts of the page that a server behind it adds."""

from collections.abc import Mapping

EXAMPLES: Mapping[str, str] = {
    "houseboat": "A houseboat",
    "hat": "A woman with a hat",
    "cafe": "Two people at a table",
    "coffee": "A cup of coffee",
    "railing": "A man at a railing",
    "bear": "A bear",
}
"""Photographs to try, by the name of their file; the first is shown when the page opens."""

FILES: Mapping[str, str] = {
    "colour": "Depth, picture",
    "normals": "Normals, picture",
    "confidence": "Confidence, picture",
    "sky": "Sky, mask",
    "png16": "Depth, 16-bit PNG",
    "tiff": "Depth, TIFF",
    "exr": "Depth, OpenEXR",
    "npy": "Depth, NPY",
    "anchored": "Depth of surfaces, NPY",
    "normals-npy": "Normals, NPY",
    "npz": "Everything, NPZ",
    "ply": "Points, PLY",
    "splat": "Gaussian splats, PLY",
    "glb": "Mesh, GLB",
    "html": "Page to share",
    "turn": "Turning surface, WebP",
    "turn-mp4": "Turning surface, MP4",
    "stl": "Relief to print, STL",
    "cutout": "What is near, PNG",
    "near16": "Near is white, 16-bit PNG",
    "panel": "Picture for slides",
    "stereo": "Stereo picture",
}
"""Files to download, by the names of outputs."""

SIZES: Mapping[str, tuple[float, float, float]] = {
    "colour": (0.02, 0.08, 9),
    "normals": (0.1, 0.43, 9),
    "confidence": (0.04, 0.15, 9),
    "sky": (0.01, 0.01, 9),
    "png16": (0.12, 0.72, 99),
    "tiff": (0, 4, 99),
    "exr": (0, 4, 99),
    "npy": (0, 4, 99),
    "anchored": (0, 4, 99),
    "normals-npy": (0, 12, 999),
    "npz": (0, 24, 999),
    "ply": (0, 27, 10),
    "splat": (0, 68, 25),
    "glb": (0.6, 0.3, 1.5),
    "html": (0.5, 0.3, 1.2),
    "turn": (1.5, 0, 2),
    "turn-mp4": (1, 0, 2),
    "stl": (6.1, 0, 6.1),
    "cutout": (0.2, 1.3, 99),
    "near16": (0.12, 0.75, 99),
    "panel": (1, 0.2, 2),
    "stereo": (0, 3.2, 99),
    "side": (0, 3.2, 99),
    "anaglyph": (0, 1.6, 99),
}
"""Usual sizes of files, measured on photographs of 0.2 to 6 megapixels: megabytes without a pixel,
megabytes a megapixel, and most megabytes."""

LENSES = (
    ("", "as it looks"),
    ("pinhole", "ordinary"),
    ("equirect", "panorama"),
    ("fisheye:180", "fisheye of 180°"),
)
"""Lenses that visitors name, as the option ``projection`` spells them."""

VIDEOS = (
    ("colour", "depth in colours"),
    ("normals", "normals"),
    ("png16", "depth as 16-bit numbers"),
)
"""Outputs of a video, the first unless others are chosen."""
