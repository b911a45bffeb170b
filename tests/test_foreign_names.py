"""Names of other programs are answered by ours, at the command line and in Python."""

import ast
import os
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.cli import COMMANDS, main
from rilievo.cli import predict as predict_command
from rilievo.cli.parsing import parse
from rilievo.errors import MissingPackageError, OptionError
from rilievo.errors.foreign_names import FOREIGN_NAMES, FOREIGN_OPTIONS, ForeignName
from rilievo.models import MODELS

GUIDE = Path(__file__).parents[1] / "docs" / "coming-from.md"

OPTIONS = (
    # transformers, diffusers and programs of one's own
    ("--gpu", "write --device cuda;"),
    ("--device-id", "write --device cuda;"),
    ("--cuda", "write --device cuda;"),
    ("--cpu", "write --device cpu;"),
    ("--fp16", "write --precision fp16;"),
    ("--half_precision", "write --precision fp16;"),
    ("--dtype", "write --precision fp16;"),
    ("--checkpoint", "write --model NAME;"),
    ("--weights", "write --model NAME;"),
    ("--input", "give photographs and videos without an option name;"),
    ("--image-path", "give photographs and videos without an option name;"),
    ("--out-dir", "write --output FOLDER;"),
    ("--output-path", "write --output FOLDER;"),
    ("--format", "write --save png16;"),
    ("--colormap", "write --colour-map magma;"),
    ("--cmap", "write --colour-map magma;"),
    ("--num-workers", "write --workers 2;"),
    ("--batch", "write --batch-size 8;"),
    ("--focal", "write --camera 500, with the focal length in pixels;"),
    # Depth Anything and Video Depth Anything
    ("--encoder", "write --model NAME;"),
    ("--img-path", "give photographs and videos without an option name;"),
    ("--video-path", "give photographs and videos without an option name;"),
    ("--outdir", "write --output FOLDER;"),
    ("--input-size", "leave it out; results have the photograph's size;"),
    ("--pred-only", "leave it out; only the depth picture is written;"),
    ("--grayscale", "write --colour-map grey;"),
    ("--gray", "write --colour-map grey;"),
    ("--max-depth", "leave it out; the model determines the range of its depth;"),
    ("--save-numpy", "write --save npy;"),
    ("--metric", "write --quality good, which gives metres;"),
    ("--target-fps", "write --fps 10;"),
    # MiDaS and ZoeDepth
    ("--model_type", "write --model NAME;"),
    ("--optimize", "write --precision fp16;"),
    ("--side", "write --save panel;"),
    ("--with_flip_aug", "write --flip;"),
    # MoGe, UniDepth and Depth Pro
    ("--fov_x", "write --fov 60;"),
    ("--resolution_level", "leave it out; results have the photograph's size;"),
    ("--maps", "write --save npy;"),
    ("--glb", "write --save glb,ply;"),
    ("--intrinsics", "write --camera FX,FY,CX,CY;"),
    ("--visualize", "write --save panel;"),
    # ultralytics and Marigold
    ("--imgsz", "leave it out; results have the photograph's size;"),
    ("--half", "write --precision fp16;"),
    ("--project", "write --output FOLDER;"),
    ("--conf", "write --save confidence;"),
    ("--source", "give photographs and videos without an option name;"),
    ("--denoise_steps", "write --set steps=4;"),
    ("--ensemble_size", "write --set ensemble=3;"),
)
"""Options of other programs, as their README or help has them, with the whole answer."""

PLACEHOLDERS = {"NAME": "rilievo/small", "FX,FY,CX,CY": "500,500,320,240", "FOLDER": "out"}


@pytest.mark.parametrize(("flag", "answer"), OPTIONS)
def test_an_option_of_another_program_is_answered_by_ours(
    flag: str, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "photo.jpg", flag, "1"]) == 2
    end = "'rilievo predict --help' lists the options"
    assert capsys.readouterr().err == f"rilievo: no option {flag}: {answer} {end}\n"


@pytest.mark.parametrize("row", [row for row in FOREIGN_OPTIONS if row.command.startswith("--")])
def test_the_command_line_that_is_proposed_is_understood(row: ForeignName) -> None:
    words = [PLACEHOLDERS.get(word, word) for word in row.command.partition(", ")[0].split()]
    parse(predict_command._Arguments, ["photo.jpg", *words], prog="rilievo predict", description="")


def test_other_commands_propose_their_own_options_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for line, answer in (
        ("measure photo.jpg --imgsz 640", "no option --imgsz;"),
        ("measure photo.jpg --half", "no option --half;"),
        (
            "measure photo.jpg --focal 500",
            "no option --focal: write --camera 500, with the focal length in pixels;",
        ),
        ("train supervised --gpu 0", "no option --gpu: write --device cuda;"),
        ("evaluate --colormap magma", "no option --colormap;"),
    ):
        assert main(shlex.split(line)) == 2
        assert capsys.readouterr().err.startswith(f"rilievo: {answer}")


@pytest.mark.parametrize(
    ("flag", "answer"),
    [
        ("--savee", "no option --savee: did you mean '--save'?"),
        ("--over", "no option --over: did you mean '--overwrite'?"),
        ("--colour-mpa", "no option --colour-mpa: did you mean '--colour-map'?"),
        ("--ouput", "no option --ouput: did you mean '--output'?"),
        ("--oitput", "no option --oitput: did you mean '--output'?"),
        ("--mask", "no option --mask: did you mean '--valid-mask'?"),
        ("--points", "no option --points: did you mean '--surface-points' or '--vanishing-points'"),
        ("--stl", "no option --stl: write --save stl;"),
        ("--npz", "no option --npz: write --save npz;"),
        ("--sharp", "no option --sharp: write --tile 768, for fine detail;"),
        # Words of as many letters, or with the same ending, that mean something else.
        ("--share", "no option --share;"),
        ("--crop", "no option --crop;"),
        ("--clip", "no option --clip;"),
        ("--time", "no option --time;"),
        ("--join", "no option --join;"),
        ("--tracking", "no option --tracking;"),
        ("--online", "no option --online;"),
        ("--threshold", "no option --threshold;"),
        ("--export", "no option --export;"),
        ("--jsonfile", "no option --jsonfile;"),
    ],
)
def test_an_option_is_compared_with_ours_by_letters_alone(
    flag: str, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "photo.jpg", flag, "1"]) == 2
    assert capsys.readouterr().err.startswith(f"rilievo: {answer}")


def test_the_tables_are_short_and_have_each_name_once() -> None:
    assert len(FOREIGN_OPTIONS) + len(FOREIGN_NAMES) <= 40
    for table in (FOREIGN_OPTIONS, FOREIGN_NAMES):
        names = [name for row in table for name in row.names.split()]
        assert len(names) == len(set(names))


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Names that the calls below use, in a folder with photographs."""
    before, folder = Path.cwd(), tmp_path_factory.mktemp("calls")
    os.chdir(folder)
    rows, columns = np.mgrid[:120, :160]
    arr = np.stack([rows, columns, (rows + columns) % 256], axis=-1).astype(np.uint8)
    arr[30:80, 40:90] = 200
    for name in ("desk.jpg", "door.jpg", "a.jpg", "b.jpg", "photo.jpg"):
        Image.fromarray(arr).save(name)
    img = Image.open("desk.jpg")
    img.load()
    prediction = rilievo.predict(arr, model="rilievo/small")
    yield {
        **{"rilievo": rilievo, "np": np, "Path": Path, "arr": arr, "img": img},
        **{"prediction": prediction, "K": prediction.known_camera.K},
    }
    os.chdir(before)


WITH_PYTHON = [row for row in FOREIGN_OPTIONS if row.command.startswith("--") and row.python]


@pytest.mark.parametrize("row", WITH_PYTHON)
def test_the_python_that_is_proposed_runs(
    names: dict[str, Any], row: ForeignName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image.Image, "show", lambda self, title=None: None)
    python = row.python
    keyword = re.match(r"(\w+)=", python)
    if keyword is not None:
        values = eval(f"dict({python})", names)
        if keyword[1] in ("model", "quality"):
            assert values[keyword[1]] in (*MODELS, "good")
        else:
            rilievo.PredictOptions(**values)
    elif "load_model" in python or "stream" in python:
        ast.parse(python)
    else:
        eval(python, names)


@pytest.mark.parametrize(
    ("call", "answer"),
    [
        ("rilievo.predict(arr, half=True)", 'write precision="fp16"'),
        ("rilievo.predict(arr, fov_x=60)", "write fov=60"),
        ("rilievo.predict(arr, f_px=500)", "write camera=500"),
        ("rilievo.predict(arr, intrinsics=K)", "write camera=K"),
        ("rilievo.predict(arr, with_flip_aug=True)", "write flip=True"),
        ("rilievo.predict(arr, encoder='vits')", 'write model="moge-2/small"'),
        ("rilievo.predict(arr, imgsz=640)", "leave it out; results have the photograph's size"),
        ("rilievo.predict(arr, outdir='out')", 'write prediction.save("out/photo")'),
        ("rilievo.predict(arr, colormap='jet')", 'write prediction.colour("magma")'),
        ("rilievo.predict(arr, num_inference_steps=4)", 'settings={"steps": 4}'),
        ("rilievo.predict(arr, batch_size=4)", 'write rilievo.predict(["a.jpg", "b.jpg"])'),
        ("rilievo.load_model('rilievo/small').predict(arr, save=True)", "write prediction.save("),
        ("rilievo.load_model('rilievo/small', dtype='fp16')", 'write precision="fp16"'),
        ("rilievo.load_model('rilievo/small', precison='fp32')", "did you mean 'precision'?"),
        ("rilievo.PredictOptions(outdir='out')", "write output=FOLDER"),
        ("rilievo.PredictOptions(format='png')", "write save='png16'"),
        ("rilievo.predict(arr, images=[arr])", "pass the photograph as the first argument"),
        ("rilievo.predict(arr, fovs=60)", "did you mean 'fov'?"),
        ("rilievo.predict(arr, zzz=1)", "unexpected keyword argument 'zzz'"),
    ],
)
def test_an_unknown_keyword_is_answered_by_ours(
    names: dict[str, Any], call: str, answer: str
) -> None:
    with pytest.raises(TypeError, match=f"{re.escape(answer)}[^;]*$"):
        eval(call, names)


@pytest.mark.parametrize(("names", "line", "python"), FOREIGN_NAMES)
def test_commands_and_public_names_of_others_are_answered(
    names: str, line: str, python: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in names.split():
        with pytest.raises(AttributeError) as refused:
            getattr(rilievo, name)
        end = f"; write {python}" if python else ""
        assert str(refused.value) == f"module 'rilievo' has no attribute '{name}'{end}"
        assert main([name, "photo.jpg"]) == 2
        answer = f"no command '{name}'; {line and 'write '}{line}"
        assert answer in capsys.readouterr().err
    if line:
        assert line.split()[1] in COMMANDS
    if python:
        assert hasattr(rilievo, python.split(".")[1].partition("(")[0])


def test_python_proposes_near_names_itself() -> None:
    for thing in (rilievo, rilievo.Camera, rilievo.DepthMap):
        with pytest.raises(AttributeError, match=r"has no attribute 'zzz'$") as refused:
            _ = thing.zzz  # pyright: ignore[reportAttributeAccessIssue]
        assert (refused.value.name, refused.value.obj) == ("zzz", thing)
    with pytest.raises(ImportError):
        exec("from rilievo.io import zzz")


def test_the_guide_for_other_programs_names_options_that_there_are() -> None:
    lines = re.findall(r"`rilievo predict ([^`]*)`", GUIDE.read_text(encoding="utf-8"))
    assert len(lines) >= 6
    for line in lines:
        words = [PLACEHOLDERS.get(word, word) for word in shlex.split(line)]
        parse(predict_command._Arguments, words, prog="rilievo predict", description="")


WORKS = ""
CALLS = (
    ('rilievo.pipeline("depth-estimation")("desk.jpg")["depth"]', WORKS),
    ('rilievo.pipeline("depth-estimation")([img, img])[1]["predicted_depth"].shape', WORKS),
    (
        'rilievo.pipeline("depth-estimation", model="depth-anything/Depth-Anything-V2-Small-hf")',
        WORKS,
    ),
    ('rilievo.pipeline("image-to-depth")', 'rilievo.pipeline("depth-estimation")'),
    ('rilievo.load_model("rilievo/small").infer(arr)', "model(image)"),
    ('rilievo.load_model("small")', WORKS),
    ('prediction.save("t/x.pcd")', "use ply"),
    ("prediction.to_open3d()", WORKS if find_spec("open3d") else "pip install"),
    ('prediction.mesh().save("t/m.obj")', ".ply or .glb"),
    ('prediction.points().save("t/c.pcd")', ".ply"),
    ("prediction.depth[100, 90]", WORKS),
    ("np.asarray(prediction.depth)", ".values"),
    ("np.ones(3) * prediction.depth", ".values"),
    ("prediction.depth * 1000", ".values"),
    ("1 / prediction.depth", ".values"),
    ("prediction.depth < 2", ".values"),
    ("prediction.depth[10:20, 5:9]", ".values[...]"),
    ("[depth for depth in prediction.depth]", ".values[...]"),
    ('rilievo.predict(np.str_("desk.jpg"))', WORKS),
    ("rilievo.predict(list(np.stack([arr, arr])))[1]", WORKS),
    ('rilievo.predict(np.array(["desk.jpg","door.jpg"]))', "rilievo.predict(list(images))"),
    ('rilievo.predict(iter(["desk.jpg"]))', "rilievo.predict(list(images))"),
    ('rilievo.predict(image for image in ["desk.jpg"])', "rilievo.predict(list(images))"),
    ("rilievo.predict(np.stack([arr, arr]))", "rilievo.predict(list(images))"),
    ('rilievo.predict(".")', "rilievo.predict_files("),
    ('rilievo.predict("*.jpg")', "rilievo.predict_files("),
    ('rilievo.predict(Path("d?sk.jpg"))', "rilievo.predict_files("),
)
"""Calls that users of other libraries try; the answer of each is a part of its line, or WORKS."""


@pytest.mark.parametrize(("line", "answer"), CALLS)
def test_a_call_of_another_library_works_or_is_answered(
    names: dict[str, Any], line: str, answer: str
) -> None:
    if answer == WORKS:
        eval(line, names)
        return
    refusals = (AttributeError, TypeError, OptionError, MissingPackageError)
    with pytest.raises(refusals, match=re.escape(answer)) as refused:
        eval(line, names)
    assert "\n" not in str(refused.value)
