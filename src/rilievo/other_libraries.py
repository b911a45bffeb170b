"""Names of other libraries that users try first, with the code to write instead, for errors.

Checks of arguments against signatures.
"""

from abc import ABCMeta
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, wraps
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    TYPE_CHECKING,
    Any,
    NamedTuple,
    NoReturn,
    ParamSpec,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from rilievo.errors import OptionError
from rilievo.public_kinds import KINDS

_WORDS = {str: "a text", Path: "a path", Iterable: "a list"}


def check_arguments(
    call: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> None:
    """Check arguments that are texts, paths, lists or classes of rilievo.

    Raises:
        OptionError: If an argument is of another type.
    """
    parameters = signature(call).parameters
    for name, value in {**dict(zip(parameters, args, strict=False)), **kwargs}.items():
        kinds = _parameter_classes(call).get(name)
        if kinds and not isinstance(value, kinds):
            words = [_class_in_words(kind) for kind in kinds if kind is not NoneType]
            raise OptionError(
                option=name,
                value=type(value),
                expected=" or ".join(dict.fromkeys(words)),
                hint=f"the call is {call.__name__}({', '.join(parameters)})",
            )


def _class_in_words(kind: type) -> str:
    name = kind.__name__
    return _WORDS.get(kind) or f"{'an' if name[0] in 'AEIO' else 'a'} {name}"


@cache
def _parameter_classes(call: Callable[..., Any]) -> Mapping[str, tuple[type, ...]]:
    try:
        hints = get_type_hints(call)
    except NameError:  # a type that only type checkers import
        return {}
    taken: dict[str, tuple[type, ...]] = {}
    for name, hint in hints.items():
        is_union = get_origin(hint) in (Union, UnionType)
        kinds = [_checkable_class(kind) for kind in (get_args(hint) if is_union else (hint,))]
        classes = tuple(kind for kind in kinds if kind is not None)
        if len(classes) == len(kinds):
            taken[name] = classes
    return taken


def _checkable_class(kind: Any) -> type | None:
    """Class that arguments are checked against; None for others."""
    origin = get_origin(kind)
    if origin is not None:
        is_list = isinstance(origin, type) and issubclass(origin, Iterable)
        return Iterable if is_list and not issubclass(origin, Mapping) else None
    if kind in (str, Path, NoneType):
        return kind
    is_ours = isinstance(kind, type) and kind.__module__.partition(".")[0] == "rilievo"
    return kind if is_ours and not getattr(kind, "_is_protocol", False) else None


_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


class ForeignName(NamedTuple):
    """Names of another library, on one of our things.

    Attributes:
        thing: "rilievo", a class, "Prediction[]" for keys, "predict" for its keywords, "keyword"
            for others, or "command".
        names: Names, with spaces between.
        code: Code of rilievo for the same task.
    """

    library: str
    thing: str
    names: str
    code: str
    note: str = ""


def find_foreign_name(thing: str, name: str) -> ForeignName | None:
    """Row of a name of other libraries; None if nobody is known to try it."""
    rows = (row for row in FOREIGN_NAMES if row.thing == thing and name in row.names.split(" "))
    return next(rows, None)


def missing_name_hint(thing: str, name: str, names: Sequence[str] = ()) -> str:
    """End of a message about a missing name; "" for private names."""
    row = find_foreign_name(thing, name)
    if row is not None:
        return f"; write {row.code}{row.note}"
    if not name or name.startswith("_") or thing not in _THINGS:
        return ""
    # Imported on demand: most names are there.
    from rilievo.other_library_words import nearest_code

    return nearest_code(thing, name, names)


_THINGS = (
    *(
        "rilievo",
        "predict",
        "keyword",
        "command",
        "Prediction",
        "DepthMap",
        "Camera",
        "Photo",
        "Mesh",
    ),
    *("PointCloud", "Model", "Measurement", "Dataset", "Sample", "Evaluation", "Registry"),
    *("ModelCard", "DepthPipeline"),
)


def refuse_attribute(kind: type, name: str, what: str) -> NoReturn:
    """Refuse a name that a class lacks.

    Raises:
        AttributeError: Always.
    """
    things = [one.__name__ for one in kind.__mro__ if one.__name__ in _THINGS]
    rows = (one for one in things if find_foreign_name(one, name) is not None)
    thing = next(rows, things[0] if things else "")
    raise AttributeError(f"{what} has no attribute '{name}'{missing_name_hint(thing, name)}")


def refuse_module_attribute(module: str, name: str) -> NoReturn:
    """Refuse a name that a subpackage lacks.

    Raises:
        AttributeError: Always.
    """
    answer = ""
    # Python asks for modules before it imports them.
    if not name.startswith("_") and find_spec(f"{module}.{name}") is None:
        answer = missing_name_hint("rilievo", name)
    raise AttributeError(f"module '{module}' has no attribute '{name}'{answer}")


def with_argument_hints(call: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Decorate a public function: errors of wrong arguments give hints."""

    @wraps(call)
    def checked(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        if kwargs:
            names = [*signature(call).parameters]
            for name in kwargs:
                if name not in names:
                    answer = missing_name_hint(
                        "keyword", name, [one for one in names if one != "self"]
                    )
                    where = call.__qualname__
                    raise TypeError(
                        f"{where}() got an unexpected keyword argument '{name}'{answer}"
                    )
        check_arguments(call, args, kwargs)
        return call(*args, **kwargs)

    return checked


class PublicClass(ABCMeta):
    """Class with answers to missing names, such as ``Camera.from_fov``."""

    __getattr__: Any


def _refuse_class_attribute(kind: type, name: str) -> NoReturn:
    if any(name in vars(one).get("__annotations__", ()) for one in kind.__mro__):
        # A field without a default, which the dataclass asks for when it is made.
        raise AttributeError(f"type object '{kind.__name__}' has no attribute '{name}'")
    refuse_attribute(kind, name, f"type object '{kind.__name__}'")


if not TYPE_CHECKING:
    PublicClass.__getattr__ = _refuse_class_attribute


class HintedAttributes(metaclass=PublicClass):
    """Mixin with answers to missing attributes."""

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        """Enter a public class by its name."""
        super().__init_subclass__()
        if cls.__name__ in _THINGS and cls.__module__.startswith("rilievo."):
            KINDS[cls.__name__] = cls

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            kind = type(self)
            if hasattr(kind, name):
                # A property has raised an AttributeError of its own, which Python has dropped.
                kind.__getattribute__(self, name)
            refuse_attribute(kind, name, f"'{kind.__name__}' object")


_LOAD = 'model = rilievo.load_model("rilievo/base")'
_VALUES = "prediction.depth.values"
_POINTS = "prediction.points().points"
_POINT_MAP = (
    "for (n, 3), or prediction.camera.points(prediction.depth.depth()) for one point a pixel"
)
_CALLED = 'prediction = model("photo.jpg")'
_SETTINGS = 'rilievo.load_model("marigold/depth-v1-1", settings={"steps": 4, "ensemble": 3})'
_DEVICE = 'rilievo.load_model("rilievo/base", device="cuda", precision="fp16")'
_EITHER = "; leave it out: prediction.depth has the photograph's size"

FOREIGN_NAMES: tuple[ForeignName, ...] = tuple(
    ForeignName(*row)
    for row in (
        ("transformers", "rilievo", "from_pretrained AutoModel AutoModelForDepthEstimation", _LOAD),
        ("transformers", "rilievo", "AutoImageProcessor DPTImageProcessor", _CALLED),
        ("diffusers", "rilievo", "DiffusionPipeline MarigoldDepthPipeline", _SETTINGS),
        ("MoGe", "rilievo", "MoGeModel", 'rilievo.load_model("moge-2/small")'),
        (
            "Depth Anything",
            "rilievo",
            "DepthAnythingV2 DepthAnything DepthAnything3",
            'rilievo.load_model("depth-anything-v2/small")',
        ),
        ("Depth Pro", "rilievo", "create_model_and_transforms", 'rilievo.load_model("depth-pro")'),
        ("Depth Pro", "rilievo", "load_rgb", 'rilievo.read_photo("photo.jpg").pixels'),
        ("ZoeDepth", "rilievo", "ZoeDepth", 'rilievo.load_model("zoedepth/nyu-kitti")'),
        ("Metric3D", "rilievo", "Metric3D", 'rilievo.load_model("metric3d-v2/small")'),
        ("MiDaS", "rilievo", "MiDaS DPT_Large", 'rilievo.load_model("midas/small")'),
        ("ultralytics", "rilievo", "YOLO", 'rilievo.load_model("rilievo/small")'),
        ("torch.hub", "rilievo", "load hub Model", _LOAD),
        ("timm", "rilievo", "create_model list_models", _LOAD, "; rilievo.MODELS lists all"),
        (
            "other libraries",
            "rilievo",
            "infer infer_image infer_pil inference estimate run depth predict_depth",
            'prediction = rilievo.predict("photo.jpg")',
        ),
        ("OpenCV", "rilievo", "imread", 'rilievo.read_photo("photo.jpg").pixels'),
        ("OpenCV", "rilievo", "imwrite imshow", 'prediction.save("out/photo.png")'),
        ("OpenCV", "rilievo", "VideoCapture predict_video", 'rilievo.stream("clip.mp4")'),
        # What a prediction holds.
        ("MoGe", "Prediction", "mask", "prediction.depth.valid"),
        ("MoGe", "Prediction", "normal normal_map", "prediction.normals"),
        ("MoGe", "Prediction", "intrinsics K", "prediction.camera.K", " in pixels"),
        ("MoGe", "Prediction", "point_map pts3d xyz", _POINTS, f" {_POINT_MAP}"),
        ("Depth Pro", "Prediction", "focallength_px focal", "prediction.camera.focal"),
        ("Depth Pro", "Prediction", "inverse_depth disparity", "1 / prediction.depth.depth()"),
        (
            "other libraries",
            "Prediction",
            "depth_map metric_depth predicted_depth depth_np data values array",
            _VALUES,
        ),
        ("other libraries", "Prediction", "conf uncertainty", "prediction.confidence"),
        ("torch", "Prediction", "numpy cpu cuda to detach squeeze", _VALUES, ", a NumPy array"),
        ("ultralytics", "Prediction", "plot", "prediction.colour()", " or prediction.show()"),
        ("ultralytics", "Prediction", "orig_img", "prediction.photo.pixels"),
        ("Open3D", "Prediction", "point_cloud pointcloud pcd", "prediction.points()"),
        ("Open3D", "Prediction", "triangle_mesh to_mesh", "prediction.mesh()"),
        ("trimesh", "Prediction", "export write", 'prediction.save("out/photo.glb")'),
        (
            "PIL, gradio, diffusers",
            "Prediction",
            "image to_pil to_image depth_image colored colorize visualize __array_interface__",
            "prediction.colour()",
            ", a Pillow picture",
        ),
        # Keys of answers that are dictionaries elsewhere; others are attributes of the same name.
        ("MoGe", "Prediction[]", "depth", _VALUES),
        ("MoGe", "Prediction[]", "points", _POINTS, f" {_POINT_MAP}"),
        ("MoGe", "Prediction.points", "", _POINTS, f" {_POINT_MAP}"),
        # A depth map is no array.
        (
            "NumPy and torch",
            "DepthMap",
            "data numpy array tensor cpu detach squeeze astype flatten reshape T dtype size ndim "
            "copy item to tolist resize __array_interface__",
            _VALUES,
        ),
        ("MoGe", "DepthMap", "mask", "prediction.depth.valid"),
        ("other libraries", "DepthMap", "save", 'prediction.save("out/photo.png")'),
        ("other libraries", "DepthMap", "plot show", "prediction.show()"),
        # A loaded model.
        ("torch", "Model", "half float", _DEVICE, ": chosen at loading"),
        (
            "torch",
            "Model",
            "to cuda cpu device",
            'rilievo.load_model("rilievo/base", device="cpu")',
            ": chosen at loading",
        ),
        ("torch", "Model", "eval requires_grad_ compile fuse forward", _CALLED, ": it is ready"),
        (
            "other libraries",
            "Model",
            "infer_image infer_pil inference estimate generate",
            _CALLED,
        ),
        ("ultralytics", "Model", "export", 'rilievo.export_model(model.name, "model.onnx")'),
        ("ultralytics", "Model", "val", 'rilievo.evaluate(model, "nyuv2-eigen", "nyu/")'),
        ("ultralytics", "Model", "track stream", 'rilievo.stream("clip.mp4", model=model)'),
        # A camera.
        ("MoGe", "Camera", "intrinsics intrinsic intrinsic_matrix", "prediction.camera.K"),
        ("Depth Pro", "Camera", "focal_length focallength_px f_px", "prediction.camera.focal"),
        ("MoGe", "Camera", "fov_x hfov", "prediction.camera.fov", " in degrees"),
        # Surfaces.
        ("trimesh", "Mesh", "export", 'mesh.save("mesh.glb")'),
        ("trimesh", "Mesh", "vertex_normals", "mesh.normals"),
        ("Open3D", "Mesh", "vertex_colors colors", "mesh.colours"),
        ("Open3D", "PointCloud", "colors", "cloud.colours"),
        ("trimesh", "PointCloud", "vertices xyz", "cloud.points"),
        ("trimesh", "PointCloud", "export", 'cloud.save("cloud.ply")'),
        # Photographs and measurements.
        ("NumPy", "Photo", "array numpy data rgb image values", "prediction.photo.pixels"),
        (
            "other libraries",
            "Measurement",
            "meters metres mean length number result distance",
            "measurement.value",
        ),
        (
            "other libraries",
            "Measurement",
            "std sigma error uncertainty interval confidence confidence_interval bounds range",
            "measurement.low",
            " and measurement.high",
        ),
        # Keywords.
        ("MoGe", "predict", "fov_x fov_deg", 'rilievo.predict("photo.jpg", fov=60)'),
        (
            "Depth Pro",
            "predict",
            "f_px focal focal_length focallength_px",
            'rilievo.predict("photo.jpg", camera=500)',
        ),
        ("UniDepth", "predict", "intrinsics intrinsic K", 'rilievo.predict("photo.jpg", camera=K)'),
        ("MoGe", "predict", "use_fp16 half fp16 dtype torch_dtype", _DEVICE),
        ("MoGe", "predict", "resolution_level num_tokens apply_mask", _CALLED, _EITHER),
        ("Depth Anything", "predict", "encoder", 'rilievo.load_model("depth-anything-v2/small")'),
        ("Depth Anything", "predict", "input_size size resolution", _CALLED, _EITHER),
        (
            "Depth Anything",
            "predict",
            "colormap cmap colour_map color_map grayscale",
            'prediction.colour("magma")',
        ),
        (
            "ultralytics",
            "predict",
            "save outdir output output_dir save_dir project",
            'prediction.save("out/photo.png")',
        ),
        ("ultralytics", "predict", "show", "prediction.show()"),
        (
            "ultralytics",
            "predict",
            "imgsz",
            'rilievo.predict("photo.jpg", tile=768)',
            f" for detail, or leave it out{_EITHER[14:]}",
        ),
        ("ultralytics", "predict", "stream", 'rilievo.stream("clip.mp4")'),
        ("ultralytics", "predict", "box boxes bbox", f"{_VALUES}[top:bottom, left:right]"),
        ("ultralytics", "predict", "conf", "prediction.confidence"),
        ("transformers", "predict", "batch_size batch", 'rilievo.predict(["a.jpg", "b.jpg"])'),
        ("diffusers", "predict", "num_inference_steps denoising_steps ensemble_size", _SETTINGS),
        ("ZoeDepth", "predict", "output_type", "prediction.colour()", f" or {_VALUES}"),
        ("ZoeDepth", "predict", "with_flip_aug", 'rilievo.predict("photo.jpg", flip=True)'),
        (
            "other libraries",
            "predict",
            "scale reference known_distance metric",
            'rilievo.predict("photo.jpg", known=[(320, 240, 2.35)])',
        ),
        # Commands.
        (
            "other programs",
            "command",
            "depth infer inference run estimate image video",
            "rilievo predict photo.jpg",
        ),
        ("other programs", "command", "gradio webui gui ui demo", "rilievo app"),
        ("other programs", "command", "server api", "rilievo serve"),
        ("other programs", "command", "val eval test benchmark", "rilievo evaluate"),
        ("other programs", "command", "download pull", "rilievo models fetch NAME"),
        ("other programs", "command", "convert", "rilievo export NAME -o model.onnx"),
    )
)
