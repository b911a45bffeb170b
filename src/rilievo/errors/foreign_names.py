"""Names that users know from other programs, and what rilievo calls them.

The tables are read when an option, a keyword, a command or a public name is unknown. They have at
most forty rows, with names from the README or the help of a well-known program.
"""

from collections.abc import Collection
from typing import NamedTuple

from rilievo.errors.messages import spell_keyword


class ForeignName(NamedTuple):
    """What other programs call something, and what rilievo calls it.

    Attributes:
        names: Names in other programs, separated by spaces.
        command: What to write on the command line: an option such as "--fps 10" or "--quality good,
            which gives metres", a whole command, or advice if rilievo has no such option. "" if the
            names only occur in Python.
        python: What to write in Python; "" if ``command`` also holds for Python.
    """

    names: str
    command: str
    python: str

    @property
    def has_option(self) -> bool:
        """Whether ``command`` is an option, and not a command or advice."""
        return self.command.startswith("--")

    @property
    def flag(self) -> str:
        """First word of ``command``, such as "--camera"."""
        return self.command.partition(" ")[0].rstrip(",")

    @property
    def example_value(self) -> str:
        """Value of the option, such as "500"; "..." if ``command`` shows none."""
        value_and_remark = self.command.partition(" ")[2]
        return value_and_remark.partition(",")[0] or "..."


_INPUT_OF_COMMAND = "give photographs and videos without an option name"
_INPUT_OF_CALL = "pass the photograph as the first argument"
_NO_INPUT_SIZE = "leave it out; results have the photograph's size"

_OPTION_ROWS = (
    # Inputs and outputs
    (
        "input source image images video file img_path image_path video_path",
        _INPUT_OF_COMMAND,
        _INPUT_OF_CALL,
    ),
    ("outdir out_dir output_dir output_path", "--output FOLDER", 'prediction.save("out/photo")'),
    ("save_dir save_path project", "--output FOLDER", 'prediction.save("out/photo")'),
    ("format output_format", "--save png16", 'prediction.save("out/photo.png")'),
    ("npy maps save_numpy save_npy", "--save npy", "prediction.depth.values"),
    ("glb ply mesh point_cloud", "--save glb,ply", 'prediction.save("out/photo.glb")'),
    ("normal normals", "--save normals", "prediction.normals"),
    ("conf", "--save confidence", "prediction.confidence"),
    ("save", "", 'prediction.save("out/photo.png")'),
    ("visualize vis side show plot", "--save panel", "prediction.show()"),
    ("colormap colourmap cmap", "--colour-map magma", 'prediction.colour("magma")'),
    ("grayscale gray", "--colour-map grey", 'prediction.colour("grey")'),
    ("pred_only", "leave it out; only the depth picture is written", ""),
    ("force exist_ok", "--overwrite", "overwrite=True"),
    ("recursive", "leave it out; folders are read recursively", ""),
    # Model
    ("encoder backbone model_type model_path", "--model NAME", 'model="moge-2/small"'),
    ("checkpoint weights pretrained load_from", "--model NAME", 'model="moge-2/small"'),
    ("metric", "--quality good, which gives metres", 'quality="good"'),
    (
        "denoise_steps num_inference_steps",
        "--set steps=4",
        'load_model(..., settings={"steps": 4})',
    ),
    ("ensemble_size", "--set ensemble=3", 'load_model(..., settings={"ensemble": 3})'),
    # Speed
    ("gpu gpus cuda device_id use_gpu", "--device cuda", 'device="cuda"'),
    ("cpu no_cuda no_gpu", "--device cpu", 'device="cpu"'),
    ("half half_precision fp16 dtype optimize", "--precision fp16", 'precision="fp16"'),
    ("batch batch_size", "--batch-size 8", 'rilievo.predict(["a.jpg", "b.jpg"])'),
    ("num_workers jobs", "--workers 2", ""),
    # Size of the network's input
    ("imgsz img_size input_size size resolution resolution_level num_tokens", _NO_INPUT_SIZE, ""),
    ("tile_size sharp sharpen detail details", "--tile 768, for fine detail", "tile=768"),
    ("with_flip_aug tta", "--flip", "flip=True"),
    # Camera and range
    ("intrinsics intrinsic k", "--camera FX,FY,CX,CY", "camera=K"),
    (
        "focal focal_length focallength_px f_px",
        "--camera 500, with the focal length in pixels",
        "camera=500",
    ),
    ("fov_x hfov", "--fov 60", "fov=60"),
    ("max_depth min_depth", "leave it out; the model determines the range of its depth", ""),
    # Video
    ("target_fps", "--fps 10", ""),
    ("webcam", "--live 0", "rilievo.stream(0)"),
)

_NAME_ROWS = (
    (
        "infer infer_image inference estimate run depth normals mesh video",
        "rilievo predict photo.jpg",
        'rilievo.predict("photo.jpg")',
    ),
    (
        "from_pretrained AutoModel create_model load MiDaS YOLO DepthAnythingV2 MoGeModel",
        "",
        'rilievo.load_model("rilievo/base")',
    ),
    ("imread load_rgb load_image", "", 'rilievo.read_photo("photo.jpg")'),
    ("VideoCapture", "", 'rilievo.stream("clip.mp4")'),
    ("gradio webui gui demo", "rilievo app", ""),
    ("val eval test benchmark", "rilievo evaluate", "rilievo.evaluate"),
)

FOREIGN_OPTIONS = tuple(ForeignName(*row) for row in _OPTION_ROWS)
"""Options and keywords of other programs."""
FOREIGN_NAMES = tuple(ForeignName(*row) for row in _NAME_ROWS)
"""Commands, functions and classes of other programs."""


def hint_for_flag(flag: str, flags: Collection[str], command: str) -> str:
    """Say what to write in place of an unknown flag, such as ``--outdir``, of a command.

    ``flags`` are all flags of the command. Return "" if there is no hint.
    """
    entry = _find_entry(FOREIGN_OPTIONS, flag.removeprefix("--").replace("-", "_").lower())
    if entry is None:
        return ""
    if not entry.has_option:
        # The advice is about predict; other commands may have an option of that kind.
        return entry.command if command == "rilievo predict" else ""
    return f"write {entry.command}" if entry.flag in flags else ""


def hint_for_keyword(keyword: str, keywords: Collection[str]) -> str:
    """Say what to write in place of an unknown keyword argument, such as ``outdir``.

    ``keywords`` are all keyword arguments of the function. Return "" if there is no hint.
    """
    entry = _find_entry(FOREIGN_OPTIONS, keyword.lower())
    if entry is None:
        return ""
    is_advice = bool(entry.command) and not entry.has_option
    if is_advice:
        return entry.python or entry.command

    option = entry.flag.removeprefix("--").replace("-", "_")
    is_keyword_in_python = entry.python.startswith(f"{option}=")
    if option in keywords:
        if is_keyword_in_python:
            return f"write {entry.python}"
        return f"write {spell_keyword(option, entry.example_value)}"

    # The function does not have the option, but another call or attribute may do the same.
    is_other_call = bool(entry.python) and not is_keyword_in_python
    return f"write {entry.python}" if is_other_call else ""


def hint_for_command(command: str) -> str:
    """Say what to write in place of an unknown command; return "" if there is no hint."""
    entry = _find_entry(FOREIGN_NAMES, command)
    return f"write {entry.command}" if entry and entry.command else ""


def hint_for_name(name: str) -> str:
    """Say what to write in place of an unknown name of ``rilievo``; return "" if there is none."""
    entry = _find_entry(FOREIGN_NAMES, name)
    return f"write {entry.python}" if entry and entry.python else ""


def _find_entry(table: tuple[ForeignName, ...], name: str) -> ForeignName | None:
    return next((entry for entry in table if name in entry.names.split()), None)
