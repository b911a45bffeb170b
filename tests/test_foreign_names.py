"""Calls that users of other libraries try first: each works, or is answered by ours."""

import ast
import copy
import inspect
import io
import os
import pickle
import re
import shlex
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.errors import MissingPackageError, NoDepthError, OptionError
from rilievo.evaluation.records import Evaluation
from rilievo.geometry.surfaces.meshes import Mesh, PointCloud
from rilievo.models import MODELS
from rilievo.models.base import Model
from rilievo.other_libraries import FOREIGN_NAMES, HintedAttributes, missing_name_hint
from rilievo.other_library_words import MADE, SUBJECTS, SUBJECTS_OF

DOCS = Path(__file__).parents[1] / "docs"
WORKS = ""
PHOTO, ANSWER = "rilievo.predict(arr)", "prediction.depth.values"
MODEL = 'rilievo.load_model("rilievo/base")'
LOAD = 'rilievo.load_model("rilievo/base")'

HABITS = (
    # transformers
    ('rilievo.pipeline("depth-estimation")("desk.jpg")["depth"]', WORKS),
    ('rilievo.pipeline("depth-estimation")([img, img])[1]["predicted_depth"].shape', WORKS),
    (
        'rilievo.pipeline("depth-estimation", model="depth-anything/Depth-Anything-V2-Small-hf")',
        WORKS,
    ),
    (
        'rilievo.pipeline("depth-estimation", device="cpu", batch_size=2)(images=[img]).__len__()',
        WORKS,
    ),
    ('rilievo.pipeline("image-to-depth")', 'rilievo.pipeline("depth-estimation")'),
    ('rilievo.AutoModel.from_pretrained("rilievo/base")', LOAD),
    ('rilievo.from_pretrained("rilievo/base")', LOAD),
    # MoGe
    (f"{MODEL}.infer(arr)", "model(image)"),
    (f'{MODEL}.to("cpu")', 'rilievo.load_model("rilievo/base", device="cpu")'),
    (f'{PHOTO}["depth"]', ANSWER),
    (f"{PHOTO}.points.shape", "prediction.points().points"),
    (f"{PHOTO}.mask", "prediction.depth.valid"),
    (f"{PHOTO}.normal", "prediction.normals"),
    ("rilievo.predict(arr, fov_x=60)", 'rilievo.predict("photo.jpg", fov=60)'),
    ("rilievo.predict(arr, fov=60).camera", WORKS),
    # Depth Anything, Depth Pro
    ("rilievo.DepthAnythingV2", 'rilievo.load_model("depth-anything-v2/small")'),
    ("rilievo.infer(arr)", 'rilievo.predict("photo.jpg")'),
    ("rilievo.predict(arr, f_px=500)", 'rilievo.predict("photo.jpg", camera=500)'),
    ('rilievo.load_rgb("desk.jpg")', 'rilievo.read_photo("photo.jpg")'),
    # ultralytics
    (f'{MODEL}("desk.jpg")[0]', "prediction.depth"),
    (f'{MODEL}("desk.jpg").plot()', "prediction.colour()"),
    (f'{MODEL}.predict("desk.jpg", save=True)', 'prediction.save("out/photo.png")'),
    (f'{MODEL}.predict("desk.jpg", device="cpu", imgsz=640)', "tile=768"),
    ("rilievo.YOLO", 'rilievo.load_model("rilievo/small")'),
    ('rilievo.predict("desk.jpg").depth.data', ANSWER),
    ('rilievo.predict("desk.jpg").numpy()', ANSWER),
    ('rilievo.predict("desk.jpg").cpu()', ANSWER),
    # Open3D
    ('rilievo.predict("desk.jpg").to_open3d()', WORKS if find_spec("open3d") else "pip install"),
    ('rilievo.predict("desk.jpg").point_cloud()', "prediction.points()"),
    ('rilievo.predict("desk.jpg").save("t/x.pcd")', "use ply"),
    # torch, matplotlib, pandas
    ('rilievo.predict("desk.jpg").depth.shape', WORKS),
    ('rilievo.predict("desk.jpg").depth.values.shape', WORKS),
    ('rilievo.predict("desk.jpg").depth[100,100]', WORKS),
    ('rilievo.predict("desk.jpg").to("cpu")', ANSWER),
    ('rilievo.predict("desk.jpg", model="rilievo/base", device="cpu")', WORKS),
    ('np.asarray(rilievo.predict("desk.jpg").depth)', ".values"),
    ('rilievo.predict("desk.jpg").depth_map', ANSWER),
    ('__import__("numpy").array(rilievo.predict("desk.jpg").depth.values).dtype', WORKS),
    ('rilievo.predict(np.array(["desk.jpg","door.jpg"]))', "rilievo.predict(list(images))"),
    ('rilievo.predict(np.str_("desk.jpg"))', WORKS),
    ('rilievo.predict(iter(["desk.jpg"]))', "rilievo.predict(list(images))"),
)
"""Calls of a review; the answer of each is a part of its line, or WORKS."""

MORE = (
    # OpenCV, PIL, matplotlib, gradio
    ('rilievo.imread("desk.jpg")', 'rilievo.read_photo("photo.jpg")'),
    ("rilievo.VideoCapture(0)", "rilievo.stream("),
    (f"Image.fromarray({PHOTO})", "prediction.colour()"),
    (f"Image.fromarray({PHOTO}.depth)", ANSWER),
    (f"{PHOTO}.depth.astype('uint16')", ANSWER),
    (f"{PHOTO}.to_pil()", "prediction.colour()"),
    (f"{PHOTO}.visualize()", "prediction.colour()"),
    (f"np.min({PHOTO}.depth)", ".values"),
    (f"{PHOTO}.depth.min()", "prediction.depth.values[prediction.depth.valid].min()"),
    (f"{PHOTO}.depth.mean()", "prediction.depth.valid"),
    (f"{PHOTO}.depth.numpy()", ANSWER),
    (f"{PHOTO}.depth * 1000", ".values"),
    (f"1 / {PHOTO}.depth", ".values"),
    (f"np.ones(3) * {PHOTO}.depth", ".values"),
    (f"{PHOTO}.depth < 2", ".values"),
    (f"{PHOTO}.depth[10:20, 5:9]", ".values[...]"),
    (f"{PHOTO}.depth[100]", ".values[...]"),
    (f"{PHOTO}.depth[{PHOTO}.depth.valid]", ".values[...]"),
    (f"[depth for depth in {PHOTO}.depth]", ".values[...]"),
    (f"[result for result in {PHOTO}]", "prediction.depth"),
    # diffusers, Metric3D, ZoeDepth, UniDepth, DepthCrafter
    ('rilievo.MarigoldDepthPipeline.from_pretrained("prs-eth/marigold")', "settings="),
    ("rilievo.predict(arr, num_inference_steps=4)", "settings="),
    (f"{MODEL}.infer_pil(img)", 'model("photo.jpg")'),
    ('rilievo.infer_pil(img, output_type="numpy")', "rilievo.predict("),
    (f"{MODEL}.infer_image(arr, 518)", 'model("photo.jpg")'),
    ("rilievo.predict(arr, with_flip_aug=True)", "flip=True"),
    ("rilievo.predict(arr, intrinsics=np.eye(3))", "camera=K"),
    ("rilievo.predict(arr, box=(1, 2, 3, 4))", f"{ANSWER}[top:bottom, left:right]"),
    (f"{PHOTO}['points']", "prediction.points().points"),
    (f"{PHOTO}['intrinsics']", "prediction.camera.K"),
    (f"{PHOTO}['predicted_depth']", ANSWER),
    (f"{PHOTO}['confidence']", "prediction.confidence"),
    (f"{PHOTO}.camera.fx", WORKS),
    (f"{PHOTO}.camera.intrinsics", "prediction.camera.K"),
    (f"{PHOTO}['nonsense']", "a Prediction has attributes"),
    (f"{PHOTO}.points[..., 2]", "prediction.points().points"),
    (f"np.asarray({PHOTO}.points)", "prediction.points().points"),
    # trimesh, Open3D
    (f"{PHOTO}.mesh().vertices.shape", WORKS),
    (f"{PHOTO}.mesh().faces.max()", WORKS),
    (f"{PHOTO}.mesh().save('t/m.ply')", WORKS),
    (f"{PHOTO}.mesh().save('t/m.glb')", WORKS),
    (f"{PHOTO}.points().save('t/c.ply')", WORKS),
    (f"{PHOTO}.mesh().save('t/m.obj')", ".ply or .glb"),
    (f"{PHOTO}.points().save('t/c.pcd')", ".ply"),
    (f"{PHOTO}.mesh().export('m.stl')", 'mesh.save("mesh.glb")'),
    (f"{PHOTO}.points().colors", "cloud.colours"),
    # torch, timm, ultralytics
    (f"{MODEL}.eval()", 'model("photo.jpg")'),
    (f"{MODEL}.half()", 'precision="fp16"'),
    (f"{MODEL}.export(format='onnx')", "rilievo.export_model("),
    ('rilievo.load_model("small")', WORKS),
    ('rilievo.load_model("base")', WORKS),
    ('rilievo.create_model("small")', "rilievo.load_model("),
    # several images
    ('rilievo.predict(image for image in ["desk.jpg"])', "rilievo.predict(list(images))"),
    ("rilievo.predict(np.stack([arr, arr]))", "rilievo.predict(list(images))"),
    ("rilievo.predict(list(np.stack([arr, arr])))[1]", WORKS),
    ('rilievo.predict(".")', "rilievo.predict_files("),
    ('rilievo.predict("*.jpg")', "rilievo.predict_files("),
    ('rilievo.predict(Path("d?sk.jpg"))', "rilievo.predict_files("),
)
"""Further calls, as their documentation has them."""


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    before, folder = Path.cwd(), tmp_path_factory.mktemp("habits")
    os.chdir(folder)
    rows, columns = np.mgrid[:120, :160]
    arr = np.stack([rows, columns, (rows + columns) % 256], axis=-1).astype(np.uint8)
    arr[30:80, 40:90] = 200
    for name in ("desk.jpg", "door.jpg", "a.jpg", "b.jpg"):
        Image.fromarray(arr).save(name)
    Image.fromarray(arr).resize((640, 480)).save("photo.jpg")
    img = Image.open("desk.jpg")
    img.load()
    for folder in ("set/images", "set/depth"):
        Path(folder).mkdir(parents=True)
    Image.fromarray(arr).save("set/images/a.png")
    np.save("set/depth/a.npy", np.ones(arr.shape[:2], np.float32))
    names = {"rilievo": rilievo, "np": np, "Image": Image, "Path": Path, "arr": arr, "img": img}
    yield {**names, "dataset": rilievo.open_dataset("folder", "set")}
    os.chdir(before)


@pytest.mark.parametrize(("line", "answer"), [*HABITS, *MORE])
def test_a_call_of_another_library_works_or_is_answered_by_ours(
    names: dict[str, Any], line: str, answer: str
) -> None:
    line = line.replace("100,100", "100,90")
    if answer == WORKS:
        eval(line, names)
        return
    refusals = (AttributeError, TypeError, OptionError, MissingPackageError)
    with pytest.raises(refusals) as refused:
        eval(line, names)
    assert answer in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.fixture(scope="module")
def ours(names: dict[str, Any]) -> dict[str, Any]:
    prediction = rilievo.predict("photo.jpg")
    return {
        **names,
        "prediction": prediction,
        "model": rilievo.load_model("rilievo/small"),
        "mesh": prediction.mesh(),
        "cloud": prediction.points(),
        "measurement": rilievo.predict("photo.jpg", known=[(320, 240, 2.0)]).measure(
            (120, 200), (310, 195)
        ),
        "K": prediction.camera.K,
        **{"top": 10, "bottom": 20, "left": 5, "right": 9},
    }


_ELSEWHERE = ("cuda", "clip.mp4", "nyu/", ".show()", "export_model")
"""Code that needs another machine, a video, a data set, a screen or an extra."""


@pytest.mark.parametrize("code", dict.fromkeys(row.code for row in FOREIGN_NAMES))
def test_what_the_table_says_to_write_runs(
    ours: dict[str, Any], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if code.startswith("rilievo ") and not code.startswith("rilievo."):
        with pytest.raises(SystemExit) as ended:
            main([shlex.split(code)[1], "--help"])
        assert ended.value.code == 0
        return
    tree = ast.parse(code)
    loaded = re.search(r'load_model\("([^"]+)"', code)
    assert loaded is None or loaded[1] in MODELS
    away = loaded is not None and not loaded[1].startswith("rilievo/")
    if not away and not any(each in code for each in _ELSEWHERE):
        exec(compile(tree, "table", "exec"), dict(ours))


def test_every_name_of_the_table_is_missing_and_answered(ours: dict[str, Any]) -> None:
    prediction = ours["prediction"]
    things = {
        "rilievo": rilievo,
        "Prediction": prediction,
        "DepthMap": prediction.depth,
        "Camera": prediction.camera,
        "Model": ours["model"],
        "Mesh": ours["mesh"],
        "PointCloud": ours["cloud"],
        "Photo": prediction.photo,
        "Measurement": ours["measurement"],
    }
    for row in FOREIGN_NAMES:
        for name in row.names.split():
            if row.thing in things:
                with pytest.raises(AttributeError, match=re.escape(row.code)):
                    getattr(things[row.thing], name)
            elif row.thing == "predict":
                with pytest.raises(TypeError, match=re.escape(row.code)):
                    rilievo.predict("photo.jpg", **{name: 1})
            elif row.thing == "command":
                assert main([name, "photo.jpg"]) == 2
            else:
                assert row.thing == "Prediction[]"
                with pytest.raises(TypeError, match=re.escape(row.code)):
                    prediction[name]


BY_COMMANDS = ("Probe3D", "Monodepth2", "FiftyOne's tutorial of depth")
"""Programs of the guide whose lines are commands, so that no name of theirs is tried on ours."""


def test_no_name_stands_in_the_table_twice() -> None:
    pairs = [(row.thing, name) for row in FOREIGN_NAMES for name in row.names.split()]
    assert len(pairs) == len(set(pairs))


def test_the_guide_for_other_programs_says_what_the_table_says() -> None:
    text = (DOCS / "coming-from.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[1:]
    compared = 0
    for section in sections:
        library, _, body = section.partition("\n")
        if library in BY_COMMANDS:
            continue
        rows = [row for row in FOREIGN_NAMES if row.library == library]
        assert rows, f"no name of {library} is in the table"
        theirs, _, _ = body.partition("```python")
        for row in rows:
            for name in set(row.names.split()) & set(re.findall(r"\w+", theirs)):
                loaded = re.search(r'load_model\("([^"]+)"', row.code)
                ours = loaded[1] if loaded else row.code.partition("(")[0]
                assert ours in body, name
                compared += 1
    assert compared >= 8


@pytest.mark.parametrize("command", ["depth", "infer", "run"])
def test_commands_of_other_programs_name_predict(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "photo.jpg"]) == 2
    said = capsys.readouterr().err
    assert said == f"rilievo: no command '{command}'; write rilievo predict photo.jpg\n"


def test_names_that_nobody_tries_are_missing_and_the_page_is_named(ours: dict[str, Any]) -> None:
    prediction = ours["prediction"]
    page = "; docs/python.md has all names"
    for thing in (prediction, prediction.depth, prediction.camera, prediction.photo, ours["model"]):
        kind = type(thing).__name__
        with pytest.raises(AttributeError, match=f"^'{kind}' object has no attribute 'zzz'{page}$"):
            _ = thing.zzz
        with pytest.raises(AttributeError, match=f"^type object '{kind}' has no .*'zzz'{page}$"):
            _ = type(thing).zzz
    for thing in (prediction, prediction.depth, ours["model"], ours["mesh"], ours["cloud"]):
        assert not hasattr(thing, "_ipython_canary_method_should_not_exist_")
        with pytest.raises(AttributeError, match=r"no attribute '_canary'$"):
            _ = thing._canary
    with pytest.raises(AttributeError, match=rf"^module 'rilievo' has no attribute 'zzz'{page}$"):
        _ = rilievo.zzz
    with pytest.raises(AttributeError, match=r"^module 'rilievo' has no attribute 'serving'$"):
        rilievo.__getattr__("serving")


NEW_GUESSES = (
    # Of READMEs of Open3D, timm, torchvision, supervision, kornia, pytorch3d and others; none
    # stands in the table.
    ("rilievo.DepthEstimator", 'rilievo.load_model("rilievo/base")'),
    ('rilievo.load_dataset("nyu")', "rilievo.open_dataset("),
    ("rilievo.compare", "rilievo compare RUN RUN"),
    ("rilievo.DepthTrainer", "rilievo train supervised"),
    ("rilievo.list_available_models()", "rilievo.MODELS.all()"),
    ("rilievo.get_video_frames_generator", 'rilievo.stream("clip.mp4")'),
    ("rilievo.DepthAnnotator()", "colour()"),
    ("rilievo.ImageSink", ".save("),
    ("rilievo.plot_image(arr)", ".show()"),
    ("rilievo.depth_to_3d", ".points()"),
    ("rilievo.depth_to_normals", ".normals"),
    ("rilievo.read_image", "rilievo.read_photo("),
    ("rilievo.write_point_cloud", '.save("out/photo.glb")'),
    ("rilievo.create_transform", 'rilievo.predict("photo.jpg")'),
    ("rilievo.compute_metrics", "rilievo.evaluate("),
    ("rilievo.predct", "rilievo.predict(image)"),
    ("rilievo.Camera.from_fov(60)", "prediction.camera.fov"),
    ("rilievo.Prediction.load('a.npz')", "rilievo.read_prediction("),
    ("rilievo.DepthMap.from_npy('a.npy')", "rilievo.read_prediction("),
    (f"{PHOTO}.colored_depth", "prediction.colour()"),
    (f"{PHOTO}.annotate()", "prediction.colour()"),
    (f"{PHOTO}.fx", "prediction.camera.fx"),
    (f"{PHOTO}.width", "prediction.shape"),
    (f"{PHOTO}.faces", "prediction.mesh().faces"),
    (f"{PHOTO}.save_depth('x.png')", "prediction.save("),
    (f"{PHOTO}.normls", "prediction.normals"),
    (f"{PHOTO}.distance_at(3, 4)", "prediction.distance("),
    (f"{PHOTO}.depth.mean()", "prediction.depth.values[prediction.depth.valid].mean()"),
    (f"{PHOTO}.depth.percentile(5)", "numpy.percentile(prediction.depth.values["),
    (f"{PHOTO}.depth.clip(0, 1)", "prediction.depth.values"),
    (f"{PHOTO}.depth.visualize()", "prediction.show()"),
    (f"{PHOTO}.depth.to_meters()", "known=[(320, 240, 2.35)]"),
    (f"{PHOTO}.camera.principal_point", "prediction.camera.K"),
    (f"{PHOTO}.camera.unproject", "prediction.camera.points(depth)"),
    (f"{PHOTO}.photo.rgb", "prediction.photo.pixels"),
    (f"{PHOTO}.mesh().simplify(100)", "prediction.to_trimesh().simplify"),
    (f"{PHOTO}.points().voxel_down_sample(0.05)", "prediction.to_open3d().voxel_down_sample"),
    (f"{MODEL}.forward_features(img)", 'model("photo.jpg")'),
    (f"{MODEL}.predict_batch([img])", "rilievo.predict(["),
    (f"{MODEL}.default_cfg", 'rilievo.MODELS["rilievo/base"]'),
    (f"{MODEL}.train()", "rilievo train supervised"),
    ("rilievo.predict(arr, use_gpu=True)", 'device="cpu"'),
    ("rilievo.predict(arr, fovs=60)", "did you mean fov?"),
    ("rilievo.predict(arr, return_normals=True)", ".normals"),
    # Of subpackages, data sets, tables and results, and keywords of calls other than predict.
    ("rilievo.io.read_image('a.jpg')", 'rilievo.read_photo("photo.jpg")'),
    ("rilievo.geometry.PointCloud", ".points()"),
    ("rilievo.models.DepthAnything", 'rilievo.load_model("depth-anything-v2/small")'),
    ("rilievo.data.DataLoader", "rilievo.open_dataset("),
    ("rilievo.alignment.scale_and_shift", "rilievo.align("),
    ("rilievo.RGBDImage.create_from_color_and_depth", ".points()"),
    ("rilievo.MeanAveragePrecision", "rilievo.evaluate("),
    ("dataset.split(split_ratio=0.7)", 'split="train"'),
    ("dataset.to_dataloader()", "dataset[0]"),
    ("dataset[0].rgb", "sample.image"),
    ("dataset[0].depth_map", "sample.depth"),
    ("rilievo.MODELS.list()", "list(table)"),
    ('rilievo.MODELS["rilievo/base"].load()', "rilievo.load_model(card.name)"),
    ('rilievo.pipeline("depth-estimation").to("cpu")', "rilievo.load_model("),
    ("rilievo.Camera.from_matrix(np.eye(3))", "prediction.camera.K"),
    ("rilievo.Camera.create_default()", "camera=K"),
    (f"{PHOTO}.camera.resize(2)", "prediction.camera.resized()"),
    (f"{PHOTO}.depth.unsqueeze(0)", ANSWER),
    (f"{MODEL}.load_state_dict({{}})", MODEL),
    (f"{PHOTO}.colour(colormap='jet')", "did you mean colour_map?"),
    (f"{PHOTO}.points(stride=2)", "it has step"),
    (f"{PHOTO}.save('a', format='png')", "it has stem, names, options"),
    ("rilievo.load_model('rilievo/base', dtype='fp16')", "device, engine, precision"),
    ("rilievo.open_dataset('folder', root_dir='d')", "did you mean root?"),
    ("rilievo.evaluate('a', 'b', metric='rmse')", "it has model, benchmark, root"),
    ("rilievo.read_photo('a.jpg', mode='rgb')", "it has source, max_pixels"),
)
"""Calls that no table has, answered by rules."""


@pytest.mark.parametrize(("line", "answer"), NEW_GUESSES)
def test_a_call_that_no_table_has_is_answered_by_a_rule(
    names: dict[str, Any], line: str, answer: str
) -> None:
    with pytest.raises((AttributeError, TypeError)) as refused:
        eval(line, names)
    assert answer in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_the_rules_say_to_write_runs(ours: dict[str, Any]) -> None:
    away = (*_ELSEWHERE, "`", "rilievo.align", "out/photo.npz", "photos/", "data/", ".measure(")
    for subject in SUBJECTS:
        for at_hand in ("prediction", 'rilievo.predict("photo.jpg")', 'model("photo.jpg")'):
            code = subject.code.replace("PREDICTION", at_hand).replace("CALL", at_hand)
            if "`" not in code:
                compile(code, "rules", "eval")
            if at_hand == "prediction" and not any(part in code for part in away):
                eval(code, dict(ours))
    own = {
        **{"sample": ours["dataset"][0], "table": MODELS, "name": "rilievo/base"},
        **{"card": MODELS["rilievo/base"], "array": np.ones((4, 5), np.float32)},
    }
    rows = (one.code for subjects in SUBJECTS_OF.values() for one in subjects)
    away = ("`", "data/", "evaluation.", "sample.camera.")
    for code in (*rows, *MADE.values()):
        if not any(part in code for part in away):
            eval(code, {**ours, **own})


def test_what_public_calls_return_is_answered(ours: dict[str, Any]) -> None:
    estimate, card = rilievo.pipeline("depth-estimation"), MODELS["rilievo/base"]
    for thing in (ours["dataset"], ours["dataset"][0], MODELS, card, estimate):
        assert isinstance(thing, HintedAttributes)
        with pytest.raises(AttributeError, match=r"'zzz'; docs/python\.md has all names$"):
            _ = thing.zzz
    assert issubclass(Evaluation, HintedAttributes)
    for part in ("io", "models", "data", "evaluation", "geometry", "training", "alignment"):
        module = import_module(f"rilievo.{part}")
        with pytest.raises(AttributeError, match=f"^module 'rilievo.{part}' has no .*all names$"):
            _ = module.zzz
        with pytest.raises(ImportError):
            exec(f"from rilievo.{part} import zzz")
    with pytest.raises(AttributeError, match=r"no attribute 'photographs'$"):
        import_module("rilievo.io").__getattr__("photographs")


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        ("visualize", "rilievo predict photo.jpg"),
        ("finetune", "rilievo train supervised"),
        ("metrics", "rilievo evaluate"),
        ("pointcloud", "rilievo predict photo.jpg --save ply"),
        ("slam", "rilievo trajectory clip.mp4"),
        ("predcit", "did you mean predict?"),
    ],
)
def test_commands_that_no_table_has_are_answered_by_a_rule(
    word: str, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word, "photo.jpg"]) == 2
    assert answer in capsys.readouterr().err


def test_an_error_of_a_property_is_its_own(ours: dict[str, Any]) -> None:
    normals_alone = ours["prediction"].but(depth_or_none=None)
    assert not hasattr(normals_alone, "depth")
    with pytest.raises(NoDepthError, match="gives no depth"):
        _ = normals_alone.depth

    class Broken(HintedAttributes):
        @property
        def mask(self) -> int:
            return [].mask  # type: ignore[attr-defined]

    with pytest.raises(AttributeError, match="'list' object"):
        _ = Broken().mask


def test_points_is_documented_as_other_methods_are(ours: dict[str, Any]) -> None:
    bound, free = ours["prediction"].points, rilievo.Prediction.points
    assert [*inspect.signature(bound).parameters] == ["step"]
    assert [*inspect.signature(free).parameters] == ["self", "step"]
    assert (bound.__doc__, bound.__name__) == (free.__doc__, "points")
    for thing in (ours["prediction"], ours["prediction"].depth, ours["mesh"], ours["cloud"]):
        assert repr(pickle.loads(pickle.dumps(thing))) == repr(copy.deepcopy(thing)) == repr(thing)


def test_the_mixin_returns_nothing() -> None:
    source = ast.parse(
        Path(sys.modules[HintedAttributes.__module__].__file__ or "").read_text("utf-8")
    )
    [found] = [
        node
        for node in ast.walk(source)
        if isinstance(node, ast.FunctionDef) and node.name == "__getattr__"
    ]
    assert not [node for node in ast.walk(found) if isinstance(node, ast.Return)]
    assert all(issubclass(kind, HintedAttributes) for kind in (rilievo.Prediction, Model, Mesh))
    assert missing_name_hint("Prediction", "") == ""


def test_one_pixel_of_a_depth_map_is_a_number() -> None:
    values = np.arange(1, 13, dtype=np.float32).reshape(3, 4)
    valid = values != 7
    depth = rilievo.DepthMap(values=values, kind=rilievo.DepthKind.METRIC, valid=valid)
    for row, column in ((0, 0), (2, 3), (-1, 0), (np.int64(1), np.uint8(3))):
        assert depth[row, column] == float(values[row, column])
        assert type(depth[row, column]) is float
    assert np.isnan(depth[1, 2])
    with pytest.raises(IndexError):
        depth[3, 0]
    for others in ((slice(1), 0), 1, (0, 0, 0), (0.5, 1), valid, "ab", None, ...):
        with pytest.raises(TypeError, match=r"depth\[row, column\]: take \.values"):
            depth[others]


def test_written_surfaces_are_those_of_memory(ours: dict[str, Any], tmp_path: Path) -> None:
    from plyfile import PlyData

    mesh, cloud = ours["mesh"], ours["cloud"]
    assert isinstance(cloud, PointCloud)
    written = PlyData.read(mesh.save(tmp_path / "new" / "m.PLY"))
    assert np.array_equal(np.stack(written["face"]["vertex_indices"]), mesh.faces)
    assert np.array_equal(written["vertex"]["x"], mesh.vertices[:, 0])
    assert np.array_equal(written["vertex"]["green"], mesh.colours[:, 1])
    points = PlyData.read(cloud.save(str(tmp_path / "c.ply")))
    assert np.array_equal(points["vertex"]["z"], cloud.points[:, 2])
    assert np.array_equal(points["vertex"]["red"], cloud.colours[:, 0])
    trimesh = pytest.importorskip("trimesh")
    loaded = trimesh.load(mesh.save(tmp_path / "m.glb"), process=False, force="mesh")
    assert np.allclose(loaded.vertices, mesh.vertices * (1, -1, -1), atol=1e-6)
    assert np.array_equal(loaded.faces, mesh.faces)


def test_colours_of_a_mesh_are_those_of_its_pixels(ours: dict[str, Any]) -> None:
    mesh = ours["mesh"]
    columns, rows = np.rint(mesh.pixels).astype(int).T
    read = np.asarray(Image.open("photo.jpg"))
    assert np.array_equal(mesh.colours, read[rows, columns])
    assert mesh.colours.shape == mesh.points.shape


def test_a_notebook_shows_the_picture_in_its_cell(
    ours: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction, shown, opened = ours["prediction"], [], []
    monkeypatch.setattr(Image.Image, "show", lambda self, title=None: opened.append(self))
    prediction.show()
    assert len(opened) == 1
    ipython, display = ModuleType("IPython"), ModuleType("IPython.display")
    display.display = shown.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    for shell, where in ((None, opened), (SimpleNamespace(), opened)):
        ipython.get_ipython = lambda shell=shell: shell  # type: ignore[attr-defined]
        before = len(where)
        prediction.show()
        assert len(where) == before + 1
    ipython.get_ipython = lambda: SimpleNamespace(kernel=1)  # type: ignore[attr-defined]
    prediction.show()
    assert len(opened) == 3
    [picture] = shown
    assert isinstance(picture, Image.Image)
    assert Image.open(io.BytesIO(prediction._repr_png_())).width > 0
