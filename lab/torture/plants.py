"""Defects that were mended, brought back to see that the campaign finds them.

    python -m lab.torture --plant fsync
    python -m lab.torture.plants MODULE ARGUMENT...

The second line runs a module, as ``python -m`` does, with the defect that the environment names;
commands of jobs are run so. A defect is planted by what stands in the place of the guard: the code
as it was before it was mended.
"""

import os
import runpy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from os import SEEK_CUR
from pathlib import Path

import numpy as np

VARIABLE = "TORTURE_PLANT"
"""Environment variable with the name of the defect."""
MINUTES = 5.0
"""Minutes within which a planted defect is found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """A mended defect.

    Attributes:
        about: The defect.
        part: Part of the campaign that finds it.
        only: Words of which the names of readers or jobs need one.
        apply: Function that brings it back in this process.
    """

    about: str
    part: str
    only: tuple[str, ...]
    apply: Callable[[], None]


def plant(name: str) -> None:
    """Bring a defect back in this process; nothing where the name is empty."""
    if not name:
        return
    if name not in PLANTS:
        raise SystemExit(f"no defect '{name}' to plant; known: {', '.join(PLANTS)}")
    PLANTS[name].apply()


def planted(command: Sequence[str]) -> Sequence[str]:
    """The command ``python -m MODULE ...`` with the defect that the environment names."""
    if not os.environ.get(VARIABLE):
        return command
    python, flag, *rest = command
    return (python, flag, "lab.torture.plants", *rest)


def _scans() -> None:
    from rilievo.io.photographs import decode

    decode.check_jpeg_scans = lambda file, name: None


def _channels() -> None:
    from rilievo.io import numbers

    numbers._READERS = {**numbers._READERS, b"\x76\x2f\x31\x01": _every_channel}


def _every_channel(content: bytes, path: Path, name: str | None) -> np.ndarray:
    """Array of an EXR file, of which all channels are unpacked before their names are looked at."""
    import OpenEXR

    from rilievo.io import numbers

    shown = str(path)
    with (
        numbers.decoder_errors_as_input_errors(shown, "EXR file"),
        OpenEXR.File(os.fsencode(path)) as image,
    ):
        channels = image.channels()
        together = [key for key in ("RGB", "RGBA") if list(channels) == [key]]
        if together and name is None:
            return np.array(channels[together[0]].pixels)
    with (
        numbers.decoder_errors_as_input_errors(shown, "EXR file"),
        OpenEXR.File(os.fsencode(path), True) as image,
    ):
        channels = image.channels()
        return np.array(channels[numbers._select_name([*channels], name, "channel", shown)].pixels)


def _lengths() -> None:
    from rilievo.models.onnx_files import file_metadata

    file_metadata._read_fields = _unbounded_fields


def _unbounded_fields(
    file: BufferedIOBase, field_numbers: set[int], end: int = 0
) -> Iterator[tuple[int, bytes]]:
    """Fields of a protobuf message, whose lengths are believed."""
    while (tag := _varint(file)) is not None:
        number, wire = tag >> 3, tag & 7
        length = {1: 8, 5: 4}.get(wire)
        if wire in (0, 2):
            value = _varint(file)
            length = value if wire == 2 else 0
        if length is None:
            raise EOFError(f"it has a field of type {wire}")
        if number in field_numbers and wire == 2:
            yield number, file.read(min(length, 1 << 24))
        else:
            file.seek(length, SEEK_CUR)


def _varint(file: BufferedIOBase) -> int | None:
    """A number of 7 bits a byte, least first; None at the end of the file."""
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            return None
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise EOFError("it has a number of more than 64 bits")


def _lock() -> None:
    from rilievo.io.files import commit

    @contextmanager
    def unlocked(path: Path, *, waits: bool = True) -> Iterator[None]:
        yield

    commit._hold_lock = unlocked


def _fsync() -> None:
    from rilievo.io.files import atomic

    def unsynced(path: Path) -> None:
        pass

    atomic.sync_file = unsynced


def _stop() -> None:
    from rilievo.system import signals

    def raise_other(number: int, frame: object) -> None:
        raise TypeError("arguments")

    # pybind11, for one, makes such an error of Ctrl-C.
    signals.raise_unless_repeated = raise_other
    signals.is_interruption = signals.handle_if_ctrl_c


PLANTS: Mapping[str, Plant] = {
    "scans": Plant(
        about="scans of JPEG files are not counted",
        part="inputs",
        only=("photo: JPEG",),
        apply=_scans,
    ),
    "channels": Plant(
        about="all channels of an EXR file are unpacked before their names are looked at",
        part="inputs",
        only=("numbers: EXR",),
        apply=_channels,
    ),
    "lengths": Plant(
        about="lengths in an ONNX file are believed",
        part="inputs",
        only=("ONNX, loaded and run",),
        apply=_lengths,
    ),
    "lock": Plant(
        about="folders of runs and records of results are not locked",
        part="pressure",
        only=("train probe",),
        apply=_lock,
    ),
    "fsync": Plant(
        about="files are renamed before they are synced",
        part="cuts",
        only=("surface",),
        apply=_fsync,
    ),
    "stop": Plant(
        about="an error that other code makes of Ctrl-C is like any other",
        part="interruptions",
        only=("surface",),
        apply=_stop,
    ),
}


def main(arguments: Sequence[str]) -> None:
    """Run a module with the defect."""
    plant(os.environ.get(VARIABLE, ""))
    sys.argv = [*arguments]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
