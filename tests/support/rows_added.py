"""Rows added to tables, each before anything reads its table, and the answers of the doors.

    PYTHONPATH=tests python -m support.rows_added KIND FOLDER

adds one row of a kind in this process, asks the doors, writes into the folder, and prints JSON.
"""

import io
import json
import pickle
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from inspect import signature
from pathlib import Path
from types import SimpleNamespace
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]


def printed(*words: str) -> str:
    """Text that ``rilievo`` prints for a command, on one line."""
    from rilievo.cli import main

    stream = io.StringIO()
    with redirect_stdout(stream), redirect_stderr(stream), suppress(SystemExit):
        main([*words])
    return " ".join(stream.getvalue().split())


def photograph(folder: Path) -> Path:
    """A small photograph."""
    import numpy as np
    from PIL import Image

    path = folder / "photo.png"
    shades = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)
    Image.fromarray(shades).resize((64, 48)).save(path)
    return path


def page(**settings: Any) -> str:
    """The page of the app."""
    from rilievo.measure.page_terms import misfit_terms
    from rilievo.serving.browser.document import AppSettings, PageSettings, page_html

    app = AppSettings(base="/", models=[], keep_minutes=60, max_bytes=10**8)
    return page_html(
        PageSettings(models=[], colours="", terms={}, misfit=misfit_terms(), app=app, **settings)
    )


def parameter(name: str) -> str:
    """Description of a parameter in the OpenAPI document."""
    entries = openapi()["paths"]["/v1/predict"]["post"]["parameters"]
    [text] = [entry["description"] for entry in entries if entry["name"] == name]
    return text


def openapi() -> Mapping[str, Any]:
    """The OpenAPI document of the server."""
    from rilievo.serving.server.endpoints import ENDPOINTS
    from rilievo.serving.server.openapi import openapi_document

    return openapi_document(ENDPOINTS)


def output(folder: Path) -> Mapping[str, Any]:
    """An output ``edges``: where depth jumps, as a picture."""
    import numpy as np
    from PIL import Image

    import rilievo.prediction.output as table
    from rilievo.io.outputs.sidecar import FileFacts

    def drawn(depth: Any) -> Any:
        values = np.nan_to_num(depth.values)
        jump = np.abs(np.diff(values, axis=1, append=values[:, -1:])) > 0.05 * values
        return np.repeat((jump * np.uint8(255))[..., None], 3, axis=2)

    def write(job: Any, depth: Any) -> FileFacts:
        return job.write_png(drawn(depth), job.describe_file("edges"))

    def of_video(job: Any) -> Any:
        from rilievo.io.outputs.video_drawing import Drawing

        return Drawing(facts=job.describe_file("edges"), draw=lambda made: drawn(made.depth))

    rows: Any = table._OUTPUTS
    rows["edges"] = table.Output(
        suffix=".edges.png",
        summary="picture of the edges of depth",
        label="Edges of depth",
        invalid="as if it were far",
        needs=(table.Need.DEPTH,),
        writer=write,
        options=(),
        media_type="image/x-edges",
        max_bytes_per_pixel=7,
        max_bytes_per_point=2,
        usual_size=table.UsualSize(0.5, 0.25, 3),
        is_heavy=True,
        is_made_in_browser=True,
        video=table.VideoForm(drawing=of_video, label="edges in white", bytes_per_pixel=0.5),
        tool=table.ToolForm(name="outline", content="a picture of edges", opened_by="any viewer"),
    )
    from write_guide_tables import TABLES

    import rilievo
    from rilievo.io.outputs.save_options import SaveOptions
    from rilievo.serving.app.app_videos import max_output_file_bytes
    from rilievo.serving.assistant.surface_tool import SURFACE
    from rilievo.serving.server.answer_files import have_heavy_output, max_output_bytes
    from rilievo.serving.server.params import VideoParams, parse_output_names
    from support.clips import Clip, write_clip
    from support.predictions import prediction

    made = prediction()
    rilievo.save(made, folder / "python.edges.png")
    printed("predict", str(photograph(folder)), "--save", "edges", "-o", str(folder / "command"))
    frames = [np.asarray(Image.open(folder / "photo.png"))] * 3
    clip = write_clip(folder / "clip.mp4", Clip(pictures=frames))
    printed("predict", str(clip), "--save", "edges", "-o", str(folder / "video"))
    source: Any = SimpleNamespace(size=(10, 10), frame_estimate=70)
    options = SaveOptions(surface_points=100)
    return {
        "help": printed("predict", "--help", "--all"),
        "files": sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.edges.*")),
        "openapi": parameter("save"),
        "content": [*openapi()["paths"]["/v1/predict"]["post"]["responses"]["200"]["content"]],
        "http": [
            parse_output_names("edges"),
            have_heavy_output(["edges"]),
            have_heavy_output(["npy"]),
        ],
        "reserved": max_output_bytes(["edges"], 1000, options)
        - max_output_bytes(["sky"], 0, options),
        "mcp": SURFACE.arguments_type.model_json_schema()["properties"]["format"],
        "mcp description": SURFACE.description,
        "page": page(),
        "app video": VideoParams.model_json_schema()["properties"]["save"]["description"],
        "app bytes": max_output_file_bytes(source, ["edges"]),
        "guide": TABLES["outputs"](),
    }


SHADE = '''
    shade: Annotated[
        int,
        option(
            minimum=0,
            maximum=255,
            available_in=Interface.COMMAND | Interface.HTTP,
            affects="files",
            subject="flat pictures",
        ),
    ] = 255
    """Shade of flat pictures."""
'''


def saving(folder: Path) -> Mapping[str, Any]:
    """An option of saving ``shade``: a field more in the source of the record."""
    home = "rilievo.io.outputs.save_options"
    text = (ROOT / "src" / f"{home.replace('.', '/')}.py").read_text()
    edited = folder / "save_options.py"
    edited.write_text(text.replace("\n    draw: Annotated[", f"{SHADE}    draw: Annotated[", 1))
    run(edited, home)
    import numpy as np
    from PIL import Image

    import rilievo.prediction.output as table

    def write(job: Any, depth: Any) -> Any:
        shade = np.uint8(job.options.shade)
        return job.write_png(
            np.full((*depth.values.shape, 3), shade), job.describe_file("one shade")
        )

    rows: Any = table._OUTPUTS
    rows["flat"] = table.Output(
        suffix=".flat.png",
        summary="picture of one shade",
        needs=(table.Need.DEPTH,),
        writer=write,
        options=("shade",),
    )
    from write_keywords import stub

    import rilievo
    from rilievo.io.outputs.save_options import SaveOptions
    from rilievo.serving.server.params import PredictParams, read_params
    from support.predictions import prediction

    photo = photograph(folder)
    shade: Any = {"shade": 40}
    rilievo.save(prediction(), folder / "python.flat.png", options=SaveOptions(**shade))
    files = folder / "files"
    options = rilievo.PredictOptions(save="flat", output=files, **shade)
    rilievo.predict_files([photo], options, show=False)
    again = ("predict", str(photo), "--save", "flat", "-o", str(folder / "command"))
    printed(*again, "--shade", "40")
    params = read_params(PredictParams, [("shade", "40")], {})
    paths = (
        folder / "python.flat.png",
        files / "photo.flat.png",
        folder / "command/photo.flat.png",
    )
    return {
        "shades": [int(np.asarray(Image.open(path)).max()) for path in paths],
        "help": printed("predict", "--help", "--all"),
        "recorded": json.loads((folder / "command/photo.json").read_text())["files"][0]["options"],
        "skipped": printed(*again, "--shade", "40"),
        "other": printed(*again, "--shade", "41"),
        "unused": printed("predict", str(photo), "--shade", "40", "-o", str(folder / "unused")),
        "refusal": printed(*again, "--shade", "256"),
        "http": getattr(params.saving, "shade", None),
        "openapi": parameter("shade"),
        "stub": stub(),
    }


CACHING = '''
    caching: Annotated[
        str, option(available_in=Interface.LOCAL, affects="speed", recorded="never")
    ] = "none"
    """Caching of answers."""
'''


def loading(folder: Path) -> Mapping[str, Any]:
    """An option of loading ``caching``: a field more in the source of the record."""
    home = "rilievo.options.run_options"
    text = (ROOT / "src" / f"{home.replace('.', '/')}.py").read_text()
    edited = folder / "engine.py"
    edited.write_text(
        text.replace("\n    threads: Annotated[", f"{CACHING}    threads: Annotated[", 1)
    )
    run(edited, home)
    from write_keywords import stub

    import rilievo
    from rilievo.evaluation.options import EvaluateOptions
    from rilievo.serving.assistant.assistant_options import AssistantOptions
    from rilievo.serving.server.server_options import AppOptions, ServeOptions
    from support.acting_model import LOADED
    from support.clips import Clip, numbered, write_clip

    clip = write_clip(folder / "clip.mp4", Clip(pictures=numbered(2)))
    photo, place, chosen = photograph(folder), "support.acting_model:plain", {"caching": "all"}
    more: Any = chosen
    doors: Mapping[str, Callable[[], Any]] = {
        "load_model": lambda: rilievo.load_model(place, **more),
        "again": lambda: pickle.loads(pickle.dumps(rilievo.load_model(place, **more))),
        "predict": lambda: rilievo.predict(photo, model=place, **more),
        "predict_files": lambda: rilievo.predict_files(
            [photo],
            rilievo.PredictOptions(model=place, output=folder / "files", **more),
            show=False,
        ),
        "command": lambda: printed(
            *f"predict {photo} -m {place} --caching all -o {folder / 'command'}".split()
        ),
        "stream": lambda: next(rilievo.stream(clip, model=place, **more)),
        "evaluate": lambda: EvaluateOptions(**more).load(place),
        "serve": lambda: ServeOptions(**more).load(place),
        "app": lambda: AppOptions(**more).load(place),
        "mcp": lambda: AssistantOptions(folder=(folder,), **more).load(place),
    }
    options = {}
    for door, call in doors.items():
        LOADED.clear()
        call()
        options[door] = [getattr(one, "caching", None) for one in LOADED]
    commands = ("predict", "evaluate", "serve", "app", "mcp")
    return {
        "options": options,
        "help": [printed(command, "--help", "--all") for command in commands],
        "stub": stub(),
        "signatures": [
            str(signature(call)) for call in (rilievo.load_model, rilievo.predict, rilievo.stream)
        ],
        "refusal": refused_type(lambda: rilievo.load_model(place, cashing="all")),
    }


def refused_type(call: Callable[[], Any]) -> str:
    """Message of the ``TypeError`` of a call."""
    try:
        call()
    except TypeError as error:
        return str(error)
    return ""


def model(folder: Path) -> Mapping[str, Any]:
    """A kind of model ``near``, a file of the tests."""
    from rilievo.models.finding import MODEL_KINDS, ModelKind

    rows: Any = MODEL_KINDS
    rows["near"] = ModelKind(
        words="`near/METRES`",
        find="support.near_kind:find",
        cards="support.near_kind:listed_cards",
        loader="support.near_kind:load",
        extra="train",
    )
    from write_guide_tables import TABLES

    import rilievo
    from rilievo.serving.server.server_options import ServeOptions

    photo = photograph(folder)
    words = f"predict {photo} --save npz -m near/3 -o {folder / 'command'}"
    printed(*words.split())
    depths = {
        "python": rilievo.predict(photo, model="near/4").depth,
        "command": rilievo.read_prediction(folder / "command/photo.npz").depth,
        "server": ServeOptions().load("near/2").predict(photo).depth,
    }
    return {
        "depths": {door: float(depth.values.max()) for door, depth in depths.items() if depth},
        "listed": printed("models", "--all"),
        "card": printed("models", "near/2"),
        "refusal": printed("predict", str(photo), "-m", "naer/2", "-o", str(folder / "refused")),
        "guide": TABLES["model_names"](),
    }


def run(path: Path, name: str) -> None:
    """Import a file as a module of this name."""
    place = spec_from_file_location(name, path)
    assert place is not None
    assert place.loader is not None
    sys.modules[name] = module_from_spec(place)
    place.loader.exec_module(sys.modules[name])


def put(module: str, package: str) -> None:
    """Import a module of the tests as if its file lay in a package of ours."""
    run(ROOT / "tests" / "support" / f"{module}.py", f"{package}.{module}")


def lens(folder: Path) -> Mapping[str, Any]:
    """A lens ``stereographic``: a file of the tests, as if it lay among ours."""
    from rilievo.geometry.cameras import spelling

    rows: Any = spelling.LENSES
    rows["stereographic"] = spelling.LensKind(
        class_path="stereographic_lens:Stereographic",
        number_counts=(1, 4),
        max_angles=(300,),
        guide={"stereographic:200": "a sphere seen from its edge"},
        choice="stereographic:200",
        label="sphere seen from its edge",
    )
    put("stereographic_lens", "rilievo.geometry.cameras")
    from write_guide_tables import TABLES

    import rilievo
    from rilievo.serving.assistant.known_tool import KNOWN
    from rilievo.serving.server.params import PredictParams, read_params

    photo, text = photograph(folder), "stereographic:200"
    for option in ("projection", "camera"):
        out = str(folder / option)
        printed("predict", str(photo), f"--{option}", text, "--save", "npz", "-o", out)
    made = rilievo.predict(photo, projection=text)
    back = rilievo.read_prediction(folder / "camera" / "photo")
    params = read_params(PredictParams, [("camera", text)], {})
    return {
        "help": printed("predict", "--help", "--all"),
        "python": str(spelling.spell_lens(made.camera.lens)),
        "files": [
            json.loads((folder / option / "photo.json").read_text())["camera"]["lens"]
            for option in ("projection", "camera")
        ],
        "back": back.camera.lens == made.camera.lens,
        "openapi": parameter("projection"),
        "http": str(params.options.view.named_camera),
        "mcp": KNOWN.arguments_type.model_json_schema()["properties"]["projection"]["description"],
        "page": page(),
        "guide": TABLES["lenses"](),
        "refusals": [refused("stereographic:310"), refused("stereographik:3")],
    }


def refused(text: str) -> str:
    """Refusal of the text of a lens."""
    from rilievo.errors import OptionError
    from rilievo.geometry.cameras.spelling import read_spelling

    try:
        read_spelling(text)
    except OptionError as error:
        return str(error)
    return ""


def probe(folder: Path) -> Mapping[str, Any]:
    """A kind of probe ``gated``, a file of the tests, as if it lay among ours."""
    from rilievo.training.networks import blueprint as table

    rows: Any = table.PROBES
    rows["gated"] = "gated_probe:Gated"
    put("gated_probe", "rilievo.training.networks.probes")
    from rilievo.training.networks.backbones import make_backbone
    from rilievo.training.networks.probe_network import probe_from_blueprint
    from rilievo.training.sweep.sweep_config import read_sweep

    (folder / "sweep.toml").write_text(
        'probes = ["gated"]\n[[backbones]]\nname = "depth-cnn"\n[data]\ndataset = "synthetic"\n'
    )
    choice = table.ProbeChoice(kind="gated")
    chosen = table.Blueprint(backbone=table.BackboneChoice(name="depth-cnn"), probe=choice)
    made = probe_from_blueprint(chosen, make_backbone("depth-cnn", pretrained=False), seed=0)
    return {
        "help": printed("train", "probe", "--help", "--all"),
        "class": type(made).__name__,
        "refusal": printed(
            *f"train probe -b depth-cnn --probe gatted --root . -o {folder}".split()
        ),
        "sweep": [each.kind for each in read_sweep(folder / "sweep.toml").probes],
    }


def encoder(folder: Path) -> Mapping[str, Any]:
    """An encoder ``strided``, a file of the tests, as if it lay among ours."""
    from rilievo.training.networks import blueprint as table

    rows: Any = table.ENCODERS
    rows["strided"] = "strided_encoder:Strided"
    put("strided_encoder", "rilievo.training.networks.video")
    import torch

    from rilievo.training.networks.video.depth_network import DepthNet
    from support.footage import write_frames

    network = DepthNet(table.VideoBlueprint(encoder="strided", size=(64, 96)))
    frames = folder / "frames"
    write_frames(frames, [0.0, 4.0, 8.0])
    words = f"train video {frames} --fov 60 -o {folder / 'run'} --dry-run"
    return {
        "help": printed("train", "video", "--help", "--all"),
        "shapes": [[*each.shape] for each in network(torch.rand(1, 3, 64, 96))],
        "plan": printed(*words.split(), "--encoder", "strided"),
        "refusal": printed(*words.split(), "--encoder", "stridet"),
    }


def reader(folder: Path) -> Mapping[str, Any]:
    """A dataset ``tiny``, a file of the tests, and a benchmark ``depth-far``."""
    import rilievo.data.datasets as datasets
    import rilievo.evaluation.benchmarks as benchmarks

    rows: Any = datasets.DATASETS.own
    rows["tiny"] = "support.tiny_dataset:Tiny"
    rows = benchmarks.BENCHMARKS.own
    rows["depth-far"] = replace(
        benchmarks.BENCHMARKS["depth"],
        name="depth-far",
        title="depth beyond two metres",
        min_depth=2.0,
        reproduces="no paper",
        hides="what is near",
    )
    from write_guide_tables import TABLES

    import rilievo
    from support.tiny_dataset import write_tiny

    root = folder / "root"
    write_tiny(root)
    words = f"evaluate -b depth-far --dataset tiny --root {root} -m small -o {folder / 'run'}"
    return {
        "datasets": printed("datasets"),
        "card": printed("datasets", "tiny"),
        "check": printed("check", "tiny", str(root)),
        "python": len(rilievo.open_dataset("tiny", root)),
        "benchmarks": printed("benchmarks"),
        "benchmark": printed("benchmarks", "depth-far"),
        "evaluated": printed(*words.split()),
        "report": sorted(path.name for path in (folder / "run").iterdir()),
        "guide": [TABLES["datasets"](), TABLES["benchmarks"]()],
    }


KINDS: Mapping[str, Callable[[Path], Mapping[str, Any]]] = {
    "output": output,
    "saving": saving,
    "loading": loading,
    "model": model,
    "lens": lens,
    "probe": probe,
    "encoder": encoder,
    "reader": reader,
}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(KINDS[sys.argv[1]](Path(sys.argv[2]))) + "\n")
