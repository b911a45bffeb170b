"""A whole prediction in one numpy archive: arrays by name, and the JSON as text."""

import zipfile
from pathlib import Path

import numpy as np

from rilievo.io.facts import FileFacts
from rilievo.io.limits import retry_miscounted
from rilievo.io.stored import Stored, with_nan
from rilievo.io.writing import WriteJob

KEY = "about"


def write(job: WriteJob) -> FileFacts:
    """Write the parts that exist (depth, normals (3, h, w), confidence, K), and the JSON."""
    prediction, about = job.prediction, job.about
    depth = prediction.depth_or_none
    facts = FileFacts(
        file=job.file,
        output=job.output,
        holds="arrays: depth, valid, normals (3, h, w), confidence, K",
        unit=about.depth.unit if about.depth else None,
        scale=1.0 if depth else None,
        offset=0.0 if depth else None,
        invalid="nan" if depth else None,
        axes=about.normals,
    )
    arrays: dict[str, np.ndarray] = {}
    if depth is not None:
        arrays["depth"] = with_nan(depth.values, depth.valid)
        arrays["valid"] = depth.valid
        arrays["kind"] = np.array(depth.kind.value)
    if prediction.normals is not None:
        arrays["normals"] = prediction.normals
    if prediction.confidence is not None:
        arrays["confidence"] = prediction.confidence
    if prediction.camera is not None:
        arrays["K"] = prediction.camera.K
    arrays[KEY] = np.array(about.alone(facts))
    # numpy compresses at level 6: five times slower, and only a tenth smaller.
    method = zipfile.ZIP_DEFLATED if job.options.compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(job.path, "w", method, allowZip64=True, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)
    return facts


def read(path: Path, facts: FileFacts) -> Stored:
    """Read the arrays, bit for bit."""
    arrays = _arrays(path, ("depth", "valid", "normals", "confidence"))
    return Stored(
        values=arrays.get("depth"),
        valid=arrays.get("valid"),
        normals=arrays.get("normals"),
        confidence=arrays.get("confidence"),
    )


def embedded(path: Path) -> str:
    """Read the embedded JSON."""
    return _arrays(path, (KEY,))[KEY].item()


@retry_miscounted
def _arrays(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Load those of the named arrays that exist; np.load would leave a broken archive open."""
    found = {}
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        for name in names:
            if f"{name}.npy" in archive.namelist():
                with archive.open(f"{name}.npy") as member:
                    found[name] = np.lib.format.read_array(member, allow_pickle=False)
    return found
