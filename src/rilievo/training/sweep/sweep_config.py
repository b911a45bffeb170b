"""TOML of a sweep."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import Text
from rilievo.extensions.trust import check_trusted
from rilievo.io.files.limits import read_text
from rilievo.io.files.names import printable
from rilievo.io.json_record import NotThisRecord, check_field_names, from_json
from rilievo.models.load_options import TrustOptions
from rilievo.schema.fields import option
from rilievo.training.networks.blueprint import (
    BackboneChoice,
    Blueprint,
    DepthChoice,
    ProbeChoice,
    ProbeTarget,
)
from rilievo.training.probe.probe_config import DataChoice, ProbeConfig
from rilievo.training.probe.probe_presets import preset_config, with_overrides

_MOST_SEEDS = 1000
_MOST_DOTS = 1000
_PATHS = (("data", "root"), ("data", "list_file"), ("test", "list_file"), ("cache", "folder"))


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneEntry:
    """One backbone of a sweep; its table is [[backbones]]."""

    name: str
    """timm/MODEL, hf/ORG/NAME or hf/FOLDER, diffusers/ORG/NAME, mobilenetv2, or
    package.module:Class.
    """
    label: str | None = None
    """Name in tables; by default the backbone's, with '(random)' for random weights."""
    weights: str = "pretrained"
    """pretrained, random, or a file of weights."""
    layers: tuple[int, ...] | None = None
    """Layers used; by default four, evenly spread."""
    tokens: bool | None = None
    """Whether the class token adds channels."""
    redraw: bool = False
    """Whether every seed draws its own random weights."""

    @property
    def title(self) -> str:
        """Name of the backbone in tables."""
        return self.label or self.name + (" (random)" if self.weights == "random" else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class TestChoice:
    """Test set and benchmarks; its table is [test]."""

    # pytest must not collect this class, whose name begins with Test.
    __test__ = False

    split: str | None = None
    """Split to score on; by default the training dataset's first."""
    list_file: str | None = None
    """Your own list of images, in place of the split's."""
    limit: int | None = None
    """Number of images to use, from the first."""
    input_crop: str = "none"
    """Crop before the network: none, nyu_square, nyu_eigen or kitti_benchmark; benchmarks have
    their own.
    """
    benchmarks: tuple[str, ...] = ()
    """Names from 'rilievo benchmarks'; by default 'depth', 'depth' with fitted scale and shift, and
    'normals'.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheChoice:
    """Cache for features of frozen backbones; its table is [cache]."""

    folder: str | None = None
    """Folder of the cache; by default 'features' in the sweep's."""
    enabled: bool = True
    gigabytes: float = 20.0
    """Largest size of the cache [GB]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepConfig:
    """A sweep, as described by its file."""

    title: str = "Probes on frozen features"
    """Title above the table."""
    preset: str = "default"
    """default, probe3d, probe3d-old or plain."""
    backbones: tuple[BackboneEntry, ...]
    tasks: tuple[ProbeTarget, ...] = (ProbeTarget.DEPTH, ProbeTarget.NORMALS)
    seeds: tuple[int, ...] = (0, 1, 2)
    probes: tuple[ProbeChoice, ...] = (ProbeChoice(),)
    size: tuple[int, int] = (480, 480)
    """(height, width) of every image at the network's input [px]."""
    depth: DepthChoice = field(default_factory=DepthChoice)
    uncertainty: bool = True
    """Whether probes predict kappa, the concentration of normals."""
    data: DataChoice
    test: TestChoice = field(default_factory=TestChoice)
    cache: CacheChoice = field(default_factory=CacheChoice)
    training: Mapping[str, int | float | str | bool] = field(default_factory=dict)
    """Training fields that differ from the preset, such as epochs or losses.depth."""

    def __post_init__(self) -> None:
        for name in ("backbones", "tasks", "seeds", "probes"):
            values = getattr(self, name)
            if not values:
                raise OptionError(f"a sweep has {name}, at least one")
            if len(set(values)) < len(values):
                raise OptionError(f"two {name} of the sweep are the same")
        titles = [entry.title for entry in self.backbones]
        if twice := {title for title in titles if titles.count(title) > 1}:
            raise OptionError(
                f"two backbones would be called '{min(twice)}' in the table: give each a label"
            )
        # Wrong training fields are refused before any work, rather than cell by cell.
        _ = self.base

    @property
    def base(self) -> ProbeConfig:
        """Training configuration of the first backbone."""
        blueprint = Blueprint(
            backbone=BackboneChoice(name=self.backbones[0].name),
            size=self.size,
            depth=self.depth,
            uncertainty=self.uncertainty,
        )
        return with_overrides(preset_config(self.preset, blueprint, self.data), self.training)


@dataclass(frozen=True, kw_only=True)
class SweepOptions(TrustOptions):
    """Options for running a sweep.

    Examples:
        >>> rilievo.SweepOptions(output="sweep", device="cpu").device
        'cpu'
    """

    output: Annotated[Path | None, option(aliases=("-o",), metavar="FOLDER")] = None
    """Folder of the sweep; by default runs/NAME of the file. Finished cells are kept, an unfinished
    one is resumed.
    """
    device: str = "auto"
    """auto, cpu, cuda, cuda:N, coreml or directml."""


def read_sweep(path: Path) -> SweepConfig:
    """Read a sweep's file, with paths relative to its folder.

    Raises:
        InputError: If the file cannot be read, or has unknown names or invalid values.
    """
    where, text = printable(path), read_text(path)
    try:
        # tomllib takes quadratic time in the number of a key's parts.
        dots = max(line.count(".") for line in text.split("\n"))
        if dots > _MOST_DOTS:
            raise ValueError(f"{dots} dots in a line: no sweep has so many")
        table = tomllib.loads(text)
        _expand_sweep_table(table, path.parent)
        check_field_names(SweepConfig, table)
        config = from_json(SweepConfig, json.dumps(table))
    except NotThisRecord as error:
        raise InputError(error.message_in_file, path=where) from error
    except OptionError as error:
        raise InputError(problem=Text(error), path=where) from error
    except (TypeError, ValueError, RecursionError) as error:
        line = " ".join(str(error).split())
        raise InputError(f"{where}: is no valid TOML of a sweep: {line}") from error
    for what, name in _kinds_and_names_to_trust(config):
        check_trusted(name, what, where)
    return config


def _kinds_and_names_to_trust(config: SweepConfig) -> Iterator[tuple[str, str]]:
    yield from (("backbone", entry.name) for entry in config.backbones)
    yield from (("probe", probe.kind) for probe in config.probes)
    yield "dataset", config.data.dataset
    yield "crop", config.test.input_crop
    yield from (("benchmark", name) for name in config.test.benchmarks)
    yield from ((name, str(value)) for name, value in config.training.items())


def _expand_sweep_table(table: dict[str, Any], folder: Path) -> None:
    """Expand seeds, probes, nested training and paths in place."""
    if isinstance(seeds := table.get("seeds"), int) and not isinstance(seeds, bool):
        if seeds > _MOST_SEEDS:
            raise ValueError(f"seeds are at most {_MOST_SEEDS}, got {seeds}")
        table["seeds"] = list(range(seeds))
    if isinstance(probes := table.get("probes"), list):
        table["probes"] = [{"kind": probe} if isinstance(probe, str) else probe for probe in probes]
    if isinstance(training := table.get("training"), dict):
        table["training"] = _flatten_to_dotted_names(training)
    for entry in _tables_in_list(table.get("backbones")):
        if entry.get("weights") not in (None, "pretrained", "random"):
            _join_path_to_folder(entry, "weights", folder)
    for name, key in _PATHS:
        for part in _tables_in_list([table.get(name)]):
            _join_path_to_folder(part, key, folder)


def _tables_in_list(values: Any) -> list[dict[str, Any]]:
    return (
        [table for table in values if isinstance(table, dict)] if isinstance(values, list) else []
    )


def _join_path_to_folder(table: dict[str, Any], key: str, folder: Path) -> None:
    if isinstance(value := table.get(key), str):
        table[key] = str(folder / Path(value).expanduser())


def _flatten_to_dotted_names(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            flat |= _flatten_to_dotted_names(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
