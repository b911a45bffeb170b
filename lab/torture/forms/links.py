"""HDF5 files that lead elsewhere: links to other files, numbers kept outside, types of objects."""

import tempfile
from pathlib import Path
from random import Random

from lab.torture.forms import blind
from lab.torture.forms.mutator import Mutator


def hdf5_link(good: bytes, chance: Random) -> bytes:
    """A dataset that is a link: to another file, to nothing, to itself."""
    import h5py

    def edit(file: h5py.File, name: str) -> None:
        del file[name]
        file[name] = chance.choice(
            (
                h5py.ExternalLink("../outside/canary", "/x"),
                h5py.ExternalLink("/etc/passwd", "/x"),
                h5py.SoftLink("/nothing"),
                h5py.SoftLink(f"/{name}"),
            )
        )

    return _edited(good, chance, edit)


def hdf5_outside(good: bytes, chance: Random) -> bytes:
    """A dataset whose numbers lie in another file: a secret read as depth."""
    import h5py

    def edit(file: h5py.File, name: str) -> None:
        shape = file[name].shape
        del file[name]
        place = chance.choice(("/etc/passwd", "../outside/canary", "/dev/zero"))
        if chance.random() < 0.5:
            kept = [(place, 0, h5py.h5f.UNLIMITED)]
            file.create_dataset(name, shape, "f4", external=kept)
            return
        layout = h5py.VirtualLayout(shape, "f4")
        layout[...] = h5py.VirtualSource(place, "x", shape)
        file.create_virtual_dataset(name, layout)

    return _edited(good, chance, edit)


def hdf5_type(good: bytes, chance: Random) -> bytes:
    """A dataset of another type or size: texts, references, records, one number, endless zeros."""
    import h5py
    import numpy as np

    def edit(file: h5py.File, name: str) -> None:
        del file[name]
        match chance.randrange(7):
            case 0:
                file[name] = "a text"
            case 1:
                file[name] = np.float32(1)
            case 2:
                file[name] = np.array([file.ref, file.ref], h5py.ref_dtype)
            case 3:
                file[name] = np.zeros(4, [("a", "f4"), ("b", "S3")])
            case 4:
                file.create_dataset(name, (20_000, 20_000, 100), "f4", chunks=(20, 20, 20))
            case 5:
                file.create_group(name)
            case _:
                file.create_dataset(name, (0, 3), "f4")

    return _edited(good, chance, edit)


def _edited(good: bytes, chance: Random, edit: object) -> bytes:
    import h5py

    assert callable(edit), "one of the functions above"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.mat"
        path.write_bytes(good)
        try:
            with h5py.File(path, "r+") as file:
                edit(file, chance.choice(list(file)))
        except (OSError, KeyError, ValueError, RuntimeError, TypeError, IndexError):
            return blind.flip(good, chance)
        return path.read_bytes()


HDF5: tuple[Mutator, ...] = (hdf5_link, hdf5_outside, hdf5_type)
