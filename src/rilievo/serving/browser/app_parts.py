"""Parts of the page that a server behind it adds."""

from collections.abc import Mapping

EXAMPLES: Mapping[str, str] = {
    "coffee": "A cup of coffee",
    "astronaut": "An astronaut",
    "motorcycle": "A motorcycle",
    "cat": "A cat",
    "photographer": "A photographer",
    "rocket": "A rocket",
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
    "panel": "Picture for slides",
    "stereo": "Stereo picture",
}
"""Files to download, by the names of outputs."""

VIDEOS = (
    ("colour", "depth in colours"),
    ("normals", "normals"),
    ("png16", "depth as 16-bit numbers"),
)
"""Outputs of a video, the first unless others are chosen."""
