"""Steps of journeys that are no single command: calls from Python, servers, damage to files."""

import hashlib
import io
import json
import os
import queue
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import rilievo

PATIENCE = 300.0


def python_predict() -> dict[str, Any]:
    """Every form of a photograph that ``predict`` takes, and what it answers."""
    image = Image.open("photo.jpg")
    by_path = rilievo.predict("photo.jpg")
    by_array = rilievo.predict(np.asarray(image))
    by_pil = rilievo.predict(image)
    several = rilievo.predict(["photo.jpg", Path("cutout.png")])
    metric = rilievo.predict("photo.jpg", known=[(100.0, 100.0, 2.0)])
    return {
        "depth": by_path.depth.values,
        "array": by_array.depth.values,
        "pil": by_pil.depth.values,
        "cutout": several[1].depth.values,
        "normals": by_path.normals,
        "metric": metric.depth.values,
        "facts": {
            "kind": [prediction.depth.kind for prediction in (by_path, *several, metric)],
            "K": np.asarray(by_path.camera.K).tolist(),
            "model": by_path.made_by.model,
        },
    }


def depth_file(photo: str, depth: str) -> dict[str, Any]:
    """Write millimetres for a photograph: a wall that goes away to the right."""
    width, height = Image.open(photo).size
    row = np.linspace(2000, 3000, width).astype(np.uint16)
    Image.fromarray(np.tile(row, (height, 1))).save(depth)
    return {"size": [width, height]}


def numbered_frames(photo: str, folder: str) -> dict[str, Any]:
    """Write three numbered frames, of which the number between the last two is missing."""
    Path(folder).mkdir()
    numbers = (7, 8, 10)
    for number in numbers:
        Image.open(photo).convert("RGB").save(f"{folder}/a.{number:04}.png")
    return {"numbers": list(numbers)}


def border_mask(photo: str, mask: str) -> dict[str, Any]:
    """Write a mask of the valid pixels of a photograph: a circle, as of an endoscope."""
    width, height = Image.open(photo).size
    v, u = np.mgrid[:height, :width]
    is_inside = np.hypot(u - width / 2, v - height / 2) < 0.48 * height
    Image.fromarray(np.where(is_inside, 255, 0).astype(np.uint8)).save(mask)
    return {"valid": int(is_inside.sum())}


def lidar_scan(photo: str, scan: str) -> dict[str, Any]:
    """Write the scan of a lidar behind the camera, with axes forward, left and up, as text."""
    width, height = Image.open(photo).size
    left, up = np.meshgrid(np.linspace(-2, 2, 40), np.linspace(-1, 1, 20))
    wall = np.stack([2.5 + left / 4, left, up], axis=-1).reshape(-1, 3)
    np.savetxt(scan, np.concatenate([wall, -wall]), header="x y z", comments="")
    return {"size": [width, height]}


def python_model() -> dict[str, Any]:
    """Load a model, predict, save and read back."""
    model = rilievo.load_model("rilievo/small")
    prediction = model("photo.jpg")
    prediction.save("saved", "npz,png16")
    piped = rilievo.pipeline("depth-estimation", model="rilievo/small")("photo.jpg")
    name = next(Path().glob("saved*/*.npz"), None) or next(Path().glob("saved*.npz"))
    return {
        "depth": prediction.depth.values,
        "pipeline": np.asarray(piped["predicted_depth"]),
        "read": rilievo.read_prediction(name).depth.values,
    }


def python_stream() -> dict[str, Any]:
    """Frames of a clip, one at a time."""
    predictions = list(rilievo.stream("clip.mp4", model="rilievo/small"))
    return {"frames": {"number": len(predictions)}, "last": predictions[-1].depth.values}


def python_errors() -> dict[str, Any]:
    """Mistakes, each by its error."""
    answers: dict[str, Any] = {}
    for name, call in {
        "no file": lambda: rilievo.predict("absent.jpg"),
        "no model": lambda: rilievo.predict("photo.jpg", model="rilievo/smal"),
        "broken": lambda: rilievo.predict("broken.jpg"),
        "keyword": lambda: rilievo.predict("photo.jpg", fovv=60),  # type: ignore[call-arg]
        "range": lambda: rilievo.predict("photo.jpg", fov=-3.0),
    }.items():
        answers[name] = _error(call)
    return answers


def _error(call: Callable[[], object]) -> dict[str, str]:
    try:
        call()
    except Exception as error:
        return {"label": type(error).__name__}
    return {"label": "no error"}


def flip_one_bit(place: str) -> dict[str, Any]:
    """Change one bit in the middle of the first file of this name."""
    path = sorted(Path().glob(place))[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return {}


def equal_weights(one: str, other: str) -> dict[str, Any]:
    """Whether the weights of two runs are the same, byte for byte."""
    files = [sorted(Path(run).rglob("*.safetensors")) for run in (one, other)]
    hashes = [[hashlib.sha256(path.read_bytes()).hexdigest() for path in paths] for paths in files]
    return {"equal": hashes[0] == hashes[1], "files": len(files[0])}


def stopped(*words: str) -> dict[str, Any]:
    """Run a command in a process of its own and stop it (SIGINT) once it has a checkpoint."""
    import signal

    folder = Path(words[words.index("-o") + 1])
    command = [sys.executable, "-m", "rilievo", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        limit = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < limit:
            if list(folder.rglob("*checkpoint*")):
                process.send_signal(signal.SIGINT)
                break
            time.sleep(0.02)
        process.wait(PATIENCE)
    return {}


def serve() -> dict[str, Any]:
    """Ask the HTTP server, in a process of its own, for every kind of answer."""
    photo = Path("photo.jpg").read_bytes()
    answers: dict[str, Any] = {}
    with _server("serve") as address:
        for save in ("json", "png16", "npz", "glb"):
            answers[save] = _asked(f"{address}v1/predict?save={save}", photo, save)
        answers["known"] = _asked(f"{address}v1/predict?known=100,100,2&save=json", photo, "json")
        answers["zip"] = _asked(f"{address}v1/predict?save=png16,ply", photo, "zip")
        answers["bad"] = _asked(f"{address}v1/predict", b"no photograph", "json")
        answers["option"] = _asked(f"{address}v1/predict?fov=abc", photo, "json")
        answers["metrics"] = _asked(f"{address}metrics", None, "text")
        answers["openapi"] = {"paths": sorted(_read(f"{address}openapi.json")["paths"])}
    return answers


def app() -> dict[str, Any]:
    """Upload to the app, mark a length, and take a zip home."""
    photo = Path("photo.jpg").read_bytes()
    with _server("app") as address:
        result = json.loads(_open(f"{address}app/results?name=holiday.jpg", photo)[1])
        place = f"{address}app/results/{result['id']}"
        marks = _open(f"{place}/marks?key={result['key']}", b"m=l10,20,200,25~0.46", "PUT")
        return {
            "page": _open(address)[0],
            "result": {"names": sorted(result)},
            "marks": [marks[0], json.loads(marks[1])],
            "files": _asked(f"{place}/files?save=npy&known_length=10,20,200,25,0.46", None, "npy"),
            "zip": _asked(f"{address}app/zip?ids={result['id']}&save=colour", None, "zip"),
        }


@contextmanager
def _server(command: str) -> Iterator[str]:
    words = [sys.executable, "-m", "rilievo", command, "--port", "0", "-m", "rilievo/small"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(
            target=lambda: [lines.put(line) for line in process.stdout or ()], daemon=True
        ).start()
        try:
            while "http://127.0.0.1" not in (line := lines.get(timeout=PATIENCE)):
                continue
            port = line.partition("http://127.0.0.1:")[2].partition("/")[0]
            yield f"http://127.0.0.1:{int(port.split()[0])}/"
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _open(address: str, body: bytes | None = None, method: str | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(address, body, method=method)
    request.add_header("Content-Type", "application/octet-stream")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def _read(address: str) -> Any:
    return json.loads(_open(address)[1])


def _asked(address: str, body: bytes | None, kind: str) -> dict[str, Any]:
    status, content = _open(address, body)
    match kind:
        case "json":
            return {"status": status, "json": json.loads(content)}
        case "png16":
            return {"status": status, "depth": np.asarray(Image.open(io.BytesIO(content)))}
        case "npz":
            with np.load(io.BytesIO(content)) as arrays:
                return {"status": status, **dict(arrays)}
        case "npy":
            return {"status": status, "depth": np.load(io.BytesIO(content))}
        case "zip":
            with zipfile.ZipFile(io.BytesIO(content)) as packed:
                return {"status": status, "names": sorted(packed.namelist())}
        case "text":
            names = {line.split()[2] for line in content.decode().splitlines() if "# TYPE" in line}
            return {"status": status, "names": sorted(names)}
    return {"status": status, "begins": content[:4].decode("latin-1")}


def mcp() -> dict[str, Any]:
    """Ask the tools of the assistant's server by the SDK's client, over standard streams."""
    from mcp import StdioServerParameters
    from mcp.client.stdio import stdio_client

    from support.assistant_client import answers

    words = ["-m", "rilievo", "mcp", "--folder", ".", "-m", "rilievo/small"]
    started = StdioServerParameters(command=sys.executable, args=words, env={**os.environ})
    line = [[0.2, 0.4], [0.6, 0.45]]
    measure = ("measure", {"photo": "photo.jpg", "what": "length", "points": line})
    calls = [
        ("depth", {"photo": "photo.jpg"}),
        measure,
        ("known", {"photo": "photo.jpg", "points": line, "metres": 0.46}),
        measure,
        ("describe", {"photo": "photo.jpg"}),
        ("surface", {"photo": "photo.jpg"}),
        ("depth", {"photo": "../secret.png"}),
    ]
    results = answers(stdio_client(started), calls)
    return {
        f"{number} {name}": {"refused": result.refused, "told": result.told}
        for number, ((name, _), result) in enumerate(zip(calls, results, strict=True), 1)
    }
