from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np

from rilievo.models.model_options import Network
from rilievo.models.requests import DepthFunction
from rilievo.options.camera_forms import CameraLike, CameraOptions
from rilievo.options.known_sizes import KnownLike, KnownSizes
from rilievo.options.photo_options import Alpha, Anchor, AnchorOptions, Refine
from rilievo.options.run_options import Saving, Speed, VideoOptions
from rilievo.options.sensor_transform import SensorTransformLike
from rilievo.schema.fields import SwitchLike

class PhotoKeywords(TypedDict, total=False):
    """Options of ``model.predict``."""

    camera: CameraLike | None
    fov: float | None
    projection: str | None
    vanishing_points: bool
    known: Sequence[KnownLike]
    sparse: str | Path | np.ndarray | None
    cam_T_sensor: SensorTransformLike | None
    sparse_unit: float | None
    depth_error: str | None
    sparse_kind: Literal["metric", "distance"] | None
    sparse_crop: str | None
    sparse_encoding: str | None
    camera_height: float | None
    markers: float | None
    own_depth: SwitchLike
    anchor: Anchor
    flip: bool
    confidence: str
    tile: int | None
    trim: SwitchLike
    manhattan: SwitchLike
    valid_mask: str | Path | np.ndarray | None
    alpha: Alpha
    stretch: bool

class LoadKeywords(TypedDict, total=False):
    """Options of ``rilievo.load_model``."""

    device: str
    engine: str
    precision: str
    threads: int | None
    trust_code: Sequence[str]
    kind: str | None
    settings: Mapping | None

class ImageKeywords(PhotoKeywords, total=False):
    """Options of ``rilievo.predict``."""

    device: str
    engine: str
    precision: str
    trust_code: Sequence[str]

class StreamKeywords(TypedDict, total=False):
    """Options of ``rilievo.stream``."""

    kind: str | None
    settings: Sequence[str]
    trust_code: Sequence[str]
    camera: CameraLike | None
    fov: float | None
    projection: str | None
    vanishing_points: bool
    known: Sequence[KnownLike]
    known_length: Sequence[str]
    known_rectangle: Sequence[str]
    known_circle: Sequence[str]
    sparse: str | Path | np.ndarray | None
    cam_T_sensor: SensorTransformLike | None
    sparse_unit: float | None
    depth_error: str | None
    sparse_kind: Literal["metric", "distance"] | None
    sparse_crop: str | None
    sparse_encoding: str | None
    camera_height: float | None
    markers: float | None
    same_camera: bool
    anchor: Anchor
    flip: bool
    confidence: str
    tile: int | None
    valid_mask: str | Path | np.ndarray | None
    device: str
    engine: str
    precision: str
    threads: int | None
    fps: float | None

class PredictKeywords(TypedDict, total=False):
    """Options of ``PredictOptions``, or whole records."""

    output: str | Path
    save: str
    overwrite: bool
    resume: bool | Literal["hash"]
    colour_map: str
    colour_range: str | None
    surface_points: int
    edge: float
    drop: str | None
    backing: float | None
    stereo: str | None
    relief_height: float
    relief_width: float | None
    relief_base: float
    normals_axes: Literal["opengl", "directx", "opencv"]
    quality: str | None
    model: str | DepthFunction
    kind: str | None
    settings: Sequence[str]
    yes: bool
    trust_code: Sequence[str]
    camera: CameraLike | None
    fov: float | None
    projection: str | None
    vanishing_points: bool
    known: Sequence[KnownLike]
    known_length: Sequence[str]
    known_rectangle: Sequence[str]
    known_circle: Sequence[str]
    sparse: str | Path | np.ndarray | None
    cam_T_sensor: SensorTransformLike | None
    sparse_unit: float | None
    depth_error: str | None
    sparse_kind: Literal["metric", "distance"] | None
    sparse_crop: str | None
    sparse_encoding: str | None
    camera_height: float | None
    markers: float | None
    same_camera: bool
    own_depth: SwitchLike
    anchor: Anchor
    flip: bool
    confidence: str
    tile: int | None
    trim: SwitchLike
    manhattan: SwitchLike
    valid_mask: str | Path | np.ndarray | None
    alpha: Alpha
    stretch: bool
    device: str
    engine: str
    precision: str
    threads: int | None
    batch_size: int
    sequence: bool
    fps: float | None
    independent: bool
    saving: Saving
    network: Network
    view: CameraOptions
    sizes: KnownSizes
    surface: AnchorOptions
    refine: Refine
    speed: Speed
    video: VideoOptions
