"""The readers that the campaign tries, by what they read."""

from importlib import import_module

from lab.torture.reader import Reader

MODULES = (
    "photographs",
    "videos",
    "numbers",
    "outputs",
    "texts",
    "lenses",
    "metres",
    "trajectories",
    "datasets",
    "networks",
    "runs",
    "footage",
    "kept",
    "records",
)


def all_readers() -> dict[str, Reader]:
    """Every reader by its name, in the order of the tables."""
    found: dict[str, Reader] = {}
    for module in MODULES:
        for reader in import_module(f"lab.torture.readers.{module}").READERS:
            assert reader.name not in found, f"two readers are called {reader.name}"
            found[reader.name] = reader
    return found
