"""Names that users know from other programs, with what rilievo calls them.

The tables are read when an option, a keyword, a command or a public name is unknown. They have at
most forty rows: names of the README or the help of a well-known program.
"""

from collections.abc import Collection

Row = tuple[str, str, str]
"""Their names, with blanks between; what to write at the command line; what to write in Python."""

_ARGUMENT = "photographs and videos are arguments without a name"
_SIZE = "leave it out, results have the photograph's size"

# A text that does not begin with "--" says why nothing corresponds.
FOREIGN_OPTIONS: tuple[Row, ...] = (
    # Inputs and outputs
    ("input source image images video file img_path image_path video_path", _ARGUMENT, ""),
    ("outdir out_dir output_dir output_path", "--output FOLDER", 'prediction.save("out/photo")'),
    ("save_dir save_path project", "--output FOLDER", 'prediction.save("out/photo")'),
    ("format output_format", "--save png16", 'prediction.save("out/photo.png")'),
    ("npy npz maps save_numpy save_npy", "--save npy", "prediction.depth.values"),
    ("glb ply mesh point_cloud", "--save glb,ply", 'prediction.save("out/photo.glb")'),
    ("normal normals", "--save normals", "prediction.normals"),
    ("conf", "--save confidence", "prediction.confidence"),
    ("save", "", 'prediction.save("out/photo.png")'),
    ("visualize vis side show plot", "--save panel", "prediction.show()"),
    ("colormap colourmap cmap", "--colour-map magma", 'prediction.colour("magma")'),
    ("grayscale gray", "--colour-map grey", 'prediction.colour("grey")'),
    ("pred_only", "leave it out, only the picture of depth is written", ""),
    ("force exist_ok", "--overwrite", "overwrite=True"),
    ("recursive", "leave it out, folders are read with those in them", ""),
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
    ("cpu no_cuda", "--device cpu", 'device="cpu"'),
    ("half half_precision fp16 dtype optimize", "--precision fp16", 'precision="fp16"'),
    ("batch batch_size", "--batch-size 8", 'rilievo.predict(["a.jpg", "b.jpg"])'),
    ("num_workers jobs", "--workers 2", ""),
    # Size of the network's input
    ("imgsz img_size input_size size resolution resolution_level num_tokens", _SIZE, ""),
    ("tile_size", "--tile 768", "tile=768"),
    ("with_flip_aug tta", "--flip", "flip=True"),
    # Camera and range
    ("intrinsics intrinsic k", "--camera FX,FY,CX,CY", "camera=K"),
    ("focal focal_length focallength_px f_px", "--camera 500, in pixels", "camera=500"),
    ("fov_x hfov", "--fov 60", "fov=60"),
    ("max_depth min_depth", "leave it out, the model sets its range", ""),
    # Video
    ("target_fps", "--fps 10", ""),
    ("webcam", "--live 0", "rilievo.stream(0)"),
)

FOREIGN_NAMES: tuple[Row, ...] = (
    (
        "infer infer_image inference estimate run depth",
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


def hint_for_flag(flag: str, flags: Collection[str], command: str) -> str:
    """Say what to write in place of an unknown flag of a command; "" if nobody knows."""
    _, text, _ = _find_row(FOREIGN_OPTIONS, flag.removeprefix("--").replace("-", "_").lower())
    if not text.startswith("--"):
        # Other commands than predict may have something of that kind.
        return text if command == "rilievo predict" else ""
    return f"write {text}" if _flag_of_text(text) in flags else ""


def hint_for_keyword(keyword: str, keywords: Collection[str]) -> str:
    """Say what to write in place of an unknown keyword of a call; "" if nobody knows."""
    _, text, python = _find_row(FOREIGN_OPTIONS, keyword.lower())
    if text and not text.startswith("--"):
        return text
    option = _flag_of_text(text).removeprefix("--").replace("-", "_")
    is_keyword = python.startswith(f"{option}=")
    if option in keywords:
        return f"write {python}" if is_keyword else f"write {option}=..."
    return f"write {python}" if python and not is_keyword else ""


def hint_for_command(command: str) -> str:
    """Say what to write in place of an unknown command; "" if nobody knows."""
    _, line, _ = _find_row(FOREIGN_NAMES, command)
    return f"write {line}" if line else ""


def hint_for_name(name: str) -> str:
    """Say what to write in place of an unknown name of ``rilievo``; "" if nobody knows."""
    _, _, python = _find_row(FOREIGN_NAMES, name)
    return f"write {python}" if python else ""


def _find_row(table: tuple[Row, ...], name: str) -> Row:
    return next((row for row in table if name in row[0].split()), ("", "", ""))


def _flag_of_text(text: str) -> str:
    return text.partition(" ")[0].rstrip(",")
