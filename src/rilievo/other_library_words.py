"""Rules that answer a missing name with the nearest of ours."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from difflib import SequenceMatcher
from functools import cache
from inspect import Parameter, isclass, signature
from typing import Any, NamedTuple

import numpy as np

from rilievo.public_kinds import KINDS

PACKAGE = "rilievo"
PAGE = "docs/python.md has all names"
_SLIP, _ALIKE = 0.88, 0.76  # similarity of letters: a slip, perhaps meant
_WORD = re.compile(r"[A-Z]+(?![a-z0-9])|[A-Z]?[a-z0-9]+|[A-Z0-9]+")
_COMMON = ("depth", "image", "map", "model", "data", "photo")
_ENDINGS = ("", "s", "er", "ed", "ing")
_PREFIX = 5  # least length of a stem that begins a longer word


class Subject(NamedTuple):
    """Subject that other libraries have names for.

    Attributes:
        stems: Words and beginnings of words, with spaces between; those of one name have hyphens.
        code: Code with PREDICTION for the prediction at hand, CALL for the call that makes one.
        command: Command line.
    """

    stems: str
    code: str
    command: str = "rilievo predict photo.jpg"


SUBJECTS: tuple[Subject, ...] = tuple(
    Subject(*row)
    for row in (
        # Of two that match equally well the first is taken.
        (
            "compare comparison leaderboard compare-model",
            'rilievo.evaluate("rilievo/small", "nyuv2-eigen", "nyu/") for each model, then '
            "`rilievo compare RUN RUN`",
            "rilievo compare RUN RUN",
        ),
        (
            "evaluat validat metrics metrics-comput rmse absrel abs-rel mae delta benchmark "
            "accuracy test ssim psnr score-comput error-comput average-precis confusion-matrix",
            'rilievo.evaluate("rilievo/small", "nyuv2-eigen", "nyu/")',
            "rilievo evaluate -b nyuv2-eigen --root nyu/ -m rilievo/small",
        ),
        (
            "export onnx torchscript jit trace tensorrt openvino coreml tflite quantiz int8 "
            "convert export-model model-save save-pretrain push-hub state-dict parameter",
            'rilievo.export_model("rilievo/small", "model.onnx")',
            "rilievo export rilievo/small -o model.onnx",
        ),
        (
            "train fit finetun fine-tun freeze unfreeze optimiz loss losses schedul learn "
            "checkpoint-save teacher distil",
            "`rilievo train supervised --root data/ -o run` on the command line",
            "rilievo train supervised --root data/ -o run",
        ),
        (
            "dataset data-load dataload datamodul nyu nyuv2 kitti diode eth3d scannet folder-image "
            "depth-dataset dataset-load",
            'rilievo.open_dataset("folder", "data/")',
            "rilievo datasets",
        ),
        (
            "models models-list list-model availab model-zoo zoo registry model-entrypoint "
            "pretrained-list support-model weights model-name",
            "rilievo.MODELS.all()",
            "rilievo models",
        ),
        (
            "summary cfg config model-info info card licen model-card feature-info num-param",
            'rilievo.MODELS["rilievo/base"]',
            "rilievo models rilievo/base",
        ),
        (
            "model get-model creat-model build-model make-model from-pretrain pretrain load-model "
            "load-checkpoint load-state load-state-dict load-weight "
            "checkpoint estimator detector predictor "
            "depth-estimator depth-model automodel backbone encoder decoder network net "
            "feature-extract hub engine",
            'rilievo.load_model("rilievo/base")',
            "rilievo models",
        ),
        (
            "device cuda gpu cpu half fp16 float16 bfloat16 bf16 amp autocast dtype mps",
            'rilievo.load_model("rilievo/base", device="cpu")',
            "rilievo predict photo.jpg --device cpu",
        ),
        ("unload release free empty-cache clear-cache dispos", "rilievo.unload_model()"),
        (
            "video webcam captur stream frame frames-generator video-frame frame-process "
            "process-video video-process temporal video-sink video-info live",
            'rilievo.stream("clip.mp4")',
            "rilievo predict clip.mp4",
        ),
        (
            "pose trajector slam odometr icp registrat visual-odometr pose-relativ extrinsic",
            "`rilievo trajectory clip.mp4` on the command line",
            "rilievo trajectory clip.mp4",
        ),
        (
            "tsdf integrat fuse fusion multiview reconstruct-scene volume",
            'rilievo.fuse_clip("clip.mp4", "out/")',
            "rilievo fuse clip.mp4 -o out",
        ),
        (
            "batch predict-batch batch-infer many predict-list batch-process",
            'rilievo.predict(["a.jpg", "b.jpg"])',
            "rilievo predict photos/",
        ),
        (
            "folder directory dir glob process-folder predict-folder",
            'rilievo.predict_files(["photos/"])',
            "rilievo predict photos/",
        ),
        (
            "load read from-file from-npz from-npy open load-depth read-depth load-predict "
            "from-json from-dict from-result",
            'rilievo.read_prediction("out/photo.npz")',
        ),
        (
            "image-read image-load imread decode decode-image image-open load-rgb from-pil "
            "from-url load-photo from-image io",
            'rilievo.read_photo("photo.jpg")',
        ),
        (
            "image rgb bgr pixel original orig img picture input-image",
            "PREDICTION.photo.pixels",
        ),
        (
            "disparit disp inverse inverse-depth inv-depth depth-disparit",
            "1 / PREDICTION.depth.depth()",
        ),
        (
            "intrinsic pinhole K calib-matrix camera-matrix calibrat-matrix projection-matrix "
            "cam-matrix principal-point intrinsic-matrix k-matrix matrix",
            "PREDICTION.camera.K",
        ),
        ("distort lens fisheye", "PREDICTION.camera.lens"),
        ("focal focal-length f-px", "PREDICTION.camera.focal"),
        ("fov hfov vfov field-view fov-deg", "PREDICTION.camera.fov"),
        ("camera cam", "PREDICTION.camera"),
        ("size width height resolution", "PREDICTION.shape"),
        (
            "mask valid valid-mask validit invalid nan hole missing finite",
            "PREDICTION.depth.valid",
        ),
        ("sky background sky-mask", "PREDICTION.sky"),
        (
            "normal surface-normal estimat-normal normal-map depth-normal comput-normal",
            "PREDICTION.normals",
        ),
        (
            "mesh triang face faces poisson pivot trimesh surface reconstruct marching "
            "triangle-mesh creat-mesh",
            "PREDICTION.mesh()",
            "rilievo predict photo.jpg --save glb",
        ),
        (
            "point cloud point-cloud pcd pcl point-map xyz vertex vertic unproject backproject "
            "back-project deproject reproject lift 3d depth-3d depth-point rgbd from-depth voxel "
            "voxel-down downsampl outlier pts3d world geometr",
            "PREDICTION.points()",
            "rilievo predict photo.jpg --save ply",
        ),
        (
            "show display view imshow visualiz visualis visualization viz draw-geometr window "
            "viewer preview plot-image show-image display-image show-depth visualiz-depth vis",
            "PREDICTION.show()",
        ),
        (
            "color colour coloriz colored colormap cmap heatmap draw plot annotat overlay render "
            "pil palette pseudocolor depth-color depth-colored image-depth depth-render depth-plot "
            "visual blend figure legend label turbo viridis magma jet annotat-depth heat",
            "PREDICTION.colour()",
        ),
        (
            "confiden conf uncertain varianc std sigma probab entropy logit score aleatoric",
            "PREDICTION.confidence",
        ),
        (
            "measur length size-object dimension area angle object-size real-size",
            "PREDICTION.measure((120, 200), (310, 195))",
            "rilievo measure photo.jpg 120,200 310,195 --known 320,240,2.35",
        ),
        (
            "distanc range nearest closest obstacl proximit far near depth-at at-pixel measur-dist",
            "PREDICTION.distance(80, 60)",
            "rilievo measure photo.jpg --distance 80,60 --known 320,240,2.35",
        ),
        (
            "metric meter metre metric-scale known scale absolut scale-factor rescal to-metric "
            "to-meter calibrat ground-truth-scale sparse",
            'rilievo.predict("photo.jpg", known=[(320, 240, 2.35)])',
            "rilievo predict photo.jpg --known 320,240,2.35",
        ),
        (
            "align scale-shift shift least-squar lstsq median-scal align-depth",
            "rilievo.align(prediction.depth, true, valid)",
        ),
        ("stereo anaglyph side-by sbs parallax", 'PREDICTION.save("out/photo", "stereo")'),
        (
            "glb gltf obj stl usd ply splat write-mesh save-mesh export-mesh write-point-cloud "
            "write-point save-point save-cloud export-point write-triangl save-glb save-ply "
            "save-point-cloud write-glb write-ply export-glb",
            'PREDICTION.save("out/photo.glb")',
            "rilievo predict photo.jpg --save glb",
        ),
        (
            "save saver write writer dump imwrite imsave sink to-file to-png to-npy npy npz exr "
            "tiff json to-dict to-json serializ store save-image image-save write-image image-sink "
            "save-depth write-depth depth-save save-result export-depth image-write save-npy",
            'PREDICTION.save("out/photo.png")',
        ),
        (
            "crop box bbox roi region slice",
            "PREDICTION.depth.values[top:bottom, left:right]",
        ),
        ("metadata meta", "PREDICTION.notes"),
        (
            "depth map z predict-depth depth-map metric-depth depth-arra relativ-depth numpy array "
            "ndarray tensor data value raw result output to-numpy min-depth max-depth",
            "PREDICTION.depth.values",
        ),
        (
            "predict infer forward call run estimat detect generat transform preprocess preproc "
            "normaliz resiz compose augment totensor pad letterbox interpolat image-process "
            "postprocess process pipelin processor warmup estimat-depth depth-estimat infer-image",
            "CALL",
        ),
    )
)


SUBJECTS_OF: Mapping[str, tuple[Subject, ...]] = {
    thing: tuple(Subject(*row) for row in rows)
    for thing, rows in {
        "Dataset": (
            (
                "split train-test train-val subset partition fold",
                'rilievo.open_dataset("folder", "data/", split="train")',
            ),
            (
                "sample item entry entries label annotat target batch iter loader dataload collat "
                "example frame rgb image depth",
                "dataset[0]",
            ),
            ("size count number length num-sample num-image", "len(dataset)"),
            ("name path file filename image-path image-file image-list", "dataset.ids"),
            ("download fetch info", "`rilievo datasets` on the command line"),
        ),
        "Sample": (
            ("rgb photo pixel img picture image color", "sample.image"),
            ("depth map truth gt label target z depth-map depth-gt ground-truth", "sample.depth"),
            ("mask valid validit", "sample.depth_valid"),
            ("intrinsic K camera-matrix fx focal", "sample.camera.K"),
            ("pose extrinsic transform", "sample.world_T_cam"),
            ("path file filename name key", "sample.id"),
        ),
        "Evaluation": (
            (
                "metric score result mean average value accuracy rmse absrel abs-rel mae delta "
                "summary map error",
                "evaluation.summaries",
            ),
            ("image sample per-image image-score", "evaluation.scores"),
            (
                "plot report save table show print csv matrix to-csv dataframe export",
                "`rilievo report RUN` on the command line",
            ),
        ),
        "Registry": (("list name available entries", "list(table)"), ("get load", "table[name]")),
        "ModelCard": (
            (
                "load creat build model instantiat from-pretrain predict infer call run",
                "rilievo.load_model(card.name)",
            ),
        ),
        "DepthPipeline": (
            ("to cuda cpu half device eval", 'rilievo.load_model("rilievo/base", device="cpu")'),
        ),
    }.items()
}


def nearest_code(thing: str, name: str, names: Sequence[str] = ()) -> str:
    """Code to write in place of a missing name, else the documentation, after a semicolon."""
    if thing == PACKAGE:
        # Entered as they are imported.
        for kind in ("Prediction", "Photo"):
            getattr(sys.modules[PACKAGE], kind)
    answer = _cached_nearest(thing, name, tuple(names))
    return answer and f"; {answer}"


@cache
def _cached_nearest(thing: str, name: str, names: tuple[str, ...]) -> str:
    own = {one: one for one in names} if names else _code_by_name(thing)
    plain = _bare_name(name)
    if thing == "keyword":
        alike = _sole_name_with_word(name, own) or _most_similar_code(plain, own, _ALIKE)
        return f"did you mean {alike}?" if alike else f"it has {', '.join(names)}"
    if near := find_subject(name, SUBJECTS_OF.get(thing, ())):
        return f"write {near.code}"
    if slip := _most_similar_code(plain, own, _SLIP):
        return f"did you mean {slip}?"
    if array := _array_code(name, anything=thing == "DepthMap") if thing in _MAPS else "":
        return f"write {array}"
    elsewhere = {} if names else _code_of_other_things(thing)
    if same := next((code for their, code in elsewhere.items() if _bare_name(their) == plain), ""):
        return f"write {same}"
    subject = find_subject(name)
    if subject is not None and thing == "command":
        return f"write {subject.command}"
    if subject is not None:
        own_word = own.get(_last_name(subject.code), "")
        if own_word and (thing in _HOLDERS or (thing in _CONVERTED and own_word in _OF_SURFACES)):
            return f"write {own_word}"
        if thing == "DepthMap" and subject.code == "CALL":
            return f"write {_VALUES}, a NumPy array"
        if thing not in _CONVERTED:
            at_hand = subject.code.replace("PREDICTION", _instance_code(thing))
            return f"write {at_hand.replace('CALL', _call_code(thing))}"
    if alike := _most_similar_code(plain, own, _ALIKE):
        return f"did you mean {alike}?"
    if thing in _CONVERTED:
        return f"write {_CONVERTED[thing].format(name)}"
    if alike := _most_similar_code(plain, elsewhere, _ALIKE):
        return f"did you mean {alike}?"
    if thing in MADE and _lower_words(name)[:1] in ([verb] for verb in _MAKING):
        return f"write {MADE[thing]}"
    return "" if thing == "command" else PAGE


_VALUES = "prediction.depth.values"
_MAPS = ("Prediction", "DepthMap")
_HOLDERS = ("Camera", "Photo", "Dataset", "Sample", "Evaluation", "ModelCard")
_OF_SURFACES = ("mesh.save(path)", "cloud.save(path)", "mesh.normals", "cloud.normals")
_CONVERTED: Mapping[str, str] = {
    "Mesh": "prediction.to_trimesh().{0} if trimesh has it",
    "PointCloud": "prediction.to_open3d().{0} if Open3D has it",
}


_MAKING = ("from", "create", "make", "build", "load", "read", "open")
MADE: Mapping[str, str] = {
    "Camera": 'rilievo.predict("photo.jpg", camera=K).camera',
    "Prediction": 'rilievo.predict("photo.jpg")',
    "DepthMap": "rilievo.DepthMap(values=array, kind=rilievo.DepthKind.METRIC)",
    "Photo": 'rilievo.read_photo("photo.jpg")',
    "Mesh": "prediction.mesh()",
    "PointCloud": "prediction.points()",
    "Model": 'rilievo.load_model("rilievo/base")',
    "Dataset": 'rilievo.open_dataset("folder", "data/")',
}


_OF_TENSORS = (
    *("unsqueeze", "permute", "clone", "float", "half", "double", "long", "view", "contiguous"),
    *("numel", "dim", "cuda", "requires_grad", "grad", "expand", "amax", "amin", "masked_fill"),
)


def _array_code(name: str, *, anything: bool) -> str:
    values = _VALUES
    if name in ("min", "max", "mean", "std", "sum", "var", "argmin", "argmax"):
        return f"{values}[prediction.depth.valid].{name}()"
    if name in ("median", "percentile", "quantile", "histogram", "nanmedian", "average"):
        more = "" if name in ("median", "average", "nanmedian", "histogram") else ", 5"
        return f"numpy.{name}({values}[prediction.depth.valid]{more})"
    has = anything and (hasattr(np.ndarray, name) or hasattr(np, name) or name in _OF_TENSORS)
    return f"{values}, a NumPy array" if has else ""


def _sole_name_with_word(name: str, own: Mapping[str, str]) -> str:
    words = {*_lower_words(name)}
    same = [one for one in own if words & {*_lower_words(one)}]
    return same[0] if len(same) == 1 else ""


def _lower_words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def find_subject(name: str, subjects: Sequence[Subject] = SUBJECTS) -> Subject | None:
    """Subject whose stems match most words of a name."""
    words = _lower_words(name)
    best, most = None, (0, 0.0)
    for subject in subjects:
        for phrase in subject.stems.split():
            stems = phrase.lower().split("-")
            if all(any(_is_form_of_stem(word, stem) for word in words) for stem in stems):
                length = (len(stems), sum(0.1 if stem in _COMMON else len(stem) for stem in stems))
                if length > most:
                    best, most = subject, length
    return best


def _is_form_of_stem(word: str, stem: str) -> bool:
    forms = (stem + ending for ending in _ENDINGS)
    return word in forms or (len(stem) >= _PREFIX and word.startswith(stem))


def _bare_name(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "").replace("color", "colour").rstrip("s")


def _last_name(code: str) -> str:
    return code.partition("(")[0].rpartition(".")[2]


def _most_similar_code(plain: str, words: Mapping[str, str], least: float) -> str:
    best, most = "", least
    for name, code in words.items():
        theirs = _bare_name(name)
        contained = theirs != plain and (theirs in plain or plain in theirs)
        contained &= min(len(theirs), len(plain)) < _PREFIX or abs(len(theirs) - len(plain)) > 2
        matcher = SequenceMatcher(None, plain, theirs)
        if name.isupper() or contained or matcher.quick_ratio() < most:
            continue
        if (ratio := matcher.ratio()) >= most:
            best, most = code, ratio
    return best


_PLACES: Mapping[str, str] = {
    "Prediction": "PREDICTION",
    "DepthMap": "PREDICTION.depth",
    "Camera": "PREDICTION.camera",
    "Photo": "PREDICTION.photo",
    "Mesh": "PREDICTION.mesh()",
    "PointCloud": "PREDICTION.points()",
}


_OF_PREDICTIONS = ("Prediction", *_PLACES, "Measurement")


def _instance_code(thing: str) -> str:
    return "prediction" if thing in _OF_PREDICTIONS else _call_code(thing)


def _call_code(thing: str) -> str:
    if thing == "DepthPipeline":
        return 'estimate("photo.jpg")["depth"]'
    return 'model("photo.jpg")' if thing == "Model" else 'rilievo.predict("photo.jpg")'


@cache
def _code_by_name(thing: str) -> Mapping[str, str]:
    if thing == "rilievo":
        package: Any = sys.modules[PACKAGE]
        return {name: _module_code(name) for name in package.__all__ if name[0] != "_"}
    kind = KINDS.get(thing)
    place = {"Mesh": "mesh", "PointCloud": "cloud"}.get(thing, thing.lower())
    place = _PLACES.get(thing, place) if thing in ("DepthMap", "Camera", "Photo") else place
    place = place.replace("PREDICTION", "prediction")
    return (
        {} if kind is None else {name: f"{place}.{call}" for name, call in _members_with_code(kind)}
    )


@cache
def _code_of_other_things(thing: str) -> Mapping[str, str]:
    names: dict[str, str] = {}
    for other, place in _PLACES.items():
        if other != thing and other in KINDS:
            code = place.replace("PREDICTION", _instance_code(thing))
            for name, call in _members_with_code(KINDS[other]):
                names.setdefault(name, f"{code}.{call}")
    return names


def _members_with_code(kind: type) -> Iterator[tuple[str, str]]:
    fields = getattr(kind, "__dataclass_fields__", {})
    for name in dict.fromkeys([*fields, *dir(kind)]):
        if not name.startswith("_"):
            member = None if name in fields else getattr(kind, name)
            yield name, name + (_arguments_code(member, skip=1) if callable(member) else "")


def _module_code(name: str) -> str:
    value = getattr(sys.modules[PACKAGE], name) if name in _FUNCTIONS else None
    call = "" if value is None else _arguments_code(value)
    return f"{PACKAGE}.{name}{call}"


_FUNCTIONS = ("predict", "load_model", "read_photo", "read_prediction", "stream", "predict_files")


def _arguments_code(call: Any, skip: int = 0) -> str:
    if isclass(call):
        return "(...)"
    plain = [*signature(call).parameters.values()][skip:]
    named = [
        f"*{one.name}" if one.kind is Parameter.VAR_POSITIONAL else one.name
        for one in plain
        if (one.default is Parameter.empty and one.kind is not Parameter.VAR_KEYWORD)
        and one.kind is not Parameter.KEYWORD_ONLY
    ]
    return f"({', '.join(named)})"
