"""Configuration of a sweep, and its TOML file."""

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
from rilievo.io.json_record import InvalidRecordError, record_from_data
from rilievo.options.run_options import TrustOptions
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

_MAX_SEEDS = 1000
"""Most seeds that a number may stand for; a mistyped one could exceed the memory."""
_MAX_DOTS_PER_LINE = 1000
"""Limit of dotted keys, for which tomllib takes quadratic time."""
_PATH_KEYS = (("data", "root"), ("data", "list_file"), ("test", "list_file"), ("cache", "folder"))
"""Table and key of each path, which may be relative to the folder of the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneEntry:
    """One backbone of a sweep; its table is [[backbones]]."""

    name: str
    """Backbone: timm/MODEL, hf/ORG/NAME or hf/FOLDER, diffusers/ORG/NAME, mobilenetv2, or
    package.module:Class.
    """
    label: str | None = None
    """Name in tables; by default the backbone's name, with '(random)' for random weights."""
    weights: str = "pretrained"
    """Weights of the backbone: pretrained, random, or a weights file."""
    layers: tuple[int, ...] | None = None
    """Layers to take features from; by default four, evenly spaced."""
    tokens: bool | None = None
    """Whether the class token adds channels."""
    redraw: bool = False
    """Whether every seed draws its own random weights."""

    @property
    def title(self) -> str:
        """Name of the backbone in tables."""
        if self.label:
            return self.label
        return f"{self.name} (random)" if self.weights == "random" else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class TestChoice:
    """Test set and benchmarks; its table is [test]."""

    # pytest must not collect this class, whose name begins with Test.
    __test__ = False

    split: str | None = None
    """Split to score on; by default the first split of the training dataset."""
    list_file: str | None = None
    """Your own list of images, which replaces that of the split."""
    limit: int | None = None
    """Number of images to use, counted from the first."""
    input_crop: str = "none"
    """Crop before the network: none, nyu_square, nyu_eigen or kitti_benchmark. Benchmarks have
    their own crops.
    """
    benchmarks: tuple[str, ...] = ()
    """Names from 'rilievo benchmarks'; by default 'depth', 'depth' with fitted scale and shift, and
    'normals'.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheChoice:
    """Cache for features of frozen backbones; its table is [cache]."""

    folder: str | None = None
    """Folder of the cache; by default 'features' in the folder of the sweep."""
    enabled: bool = True
    gigabytes: float = 20.0
    """Maximum size of the cache [GB]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepConfig:
    """A sweep, as described by its file."""

    title: str = "Probes on frozen features"
    """Title above the table."""
    preset: str = "default"
    """Preset: default, probe3d, probe3d-old or plain."""
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
                raise OptionError(f"a sweep needs at least one entry in {name}")
            if len(set(values)) < len(values):
                raise OptionError(f"the sweep lists the same entry twice in {name}")
        titles = [entry.title for entry in self.backbones]
        repeated_titles = [title for title in titles if titles.count(title) > 1]
        if repeated_titles:
            raise OptionError(
                f"two backbones would be called '{min(repeated_titles)}' in the table: give each a "
                "label"
            )
        # Raises an error for wrong training fields now, rather than cell by cell.
        self.make_base_config()

    def make_base_config(self) -> ProbeConfig:
        """Make the training configuration that all cells share, with the first backbone."""
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
    """Folder of the sweep; by default runs/NAME for a file NAME.toml. Finished cells are kept, and
    an unfinished cell is resumed.
    """
    device: str = "auto"
    """Device to run on: auto, cpu, cuda or cuda:N."""


def read_sweep(path: Path) -> SweepConfig:
    """Read the TOML file of a sweep; its paths are relative to its folder.

    Raises:
        InputError: If the file cannot be read, or has unknown names or invalid values.
        UntrustedCodeError: If it names code that the user has not named.
    """
    shown_path = printable(path)
    text = read_text(path)
    try:
        table = _parse_toml(text)
        _expand_sweep_table(table, path.parent)
        config = record_from_data(SweepConfig, table)
    except InvalidRecordError as error:
        raise InputError(str(error), path=shown_path) from error
    except OptionError as error:
        raise InputError(problem=Text(error), path=shown_path) from error
    except (TypeError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{shown_path}: is not a valid sweep file (TOML): {reason}") from error
    for role, name in _names_that_may_be_code(config):
        check_trusted(name, role, shown_path)
    return config


def _parse_toml(text: str) -> dict[str, Any]:
    num_dots = max(line.count(".") for line in text.split("\n"))
    if num_dots > _MAX_DOTS_PER_LINE:
        raise ValueError(f"a line has {num_dots} dots; expected at most {_MAX_DOTS_PER_LINE}")
    return tomllib.loads(text)


def _expand_sweep_table(table: dict[str, Any], folder: Path) -> None:
    """Expand the short forms of a sweep's table in place, to the form of the records.

    A number of seeds becomes a list, the name of a probe a table, nested training options one table
    with dotted names, and a relative path one that begins with ``folder``. Values of a wrong type
    are kept, and reported later by the check of the fields.
    """
    seeds = table.get("seeds")
    if isinstance(seeds, int) and not isinstance(seeds, bool):
        table["seeds"] = _list_seeds(seeds)

    probes = table.get("probes")
    if isinstance(probes, list):
        table["probes"] = [{"kind": probe} if isinstance(probe, str) else probe for probe in probes]

    training = table.get("training")
    if isinstance(training, dict):
        table["training"] = _flatten_to_dotted_names(training)

    backbones = table.get("backbones")
    if isinstance(backbones, list):
        for entry in backbones:
            if isinstance(entry, dict) and entry.get("weights") not in ("pretrained", "random"):
                _prepend_folder(entry, "weights", folder)
    for table_name, key in _PATH_KEYS:
        subtable = table.get(table_name)
        if isinstance(subtable, dict):
            _prepend_folder(subtable, key, folder)


def _list_seeds(count: int) -> list[int]:
    if count > _MAX_SEEDS:
        raise ValueError(
            f"the number of seeds must be at most {_MAX_SEEDS}, got {count}; to choose the "
            "seeds themselves, write a list"
        )
    return list(range(count))


def _flatten_to_dotted_names(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested tables: the value of ``depth`` in ``losses`` is named ``losses.depth``."""
    value_by_dotted_name: dict[str, Any] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            value_by_dotted_name |= _flatten_to_dotted_names(value, f"{prefix}{name}.")
        else:
            value_by_dotted_name[f"{prefix}{name}"] = value
    return value_by_dotted_name


def _prepend_folder(table: dict[str, Any], key: str, folder: Path) -> None:
    value = table.get(key)
    if isinstance(value, str):
        table[key] = str(folder / Path(value).expanduser())


def _names_that_may_be_code(config: SweepConfig) -> Iterator[tuple[str, str]]:
    """Yield each name in the file that may be an import path, after what it names."""
    for entry in config.backbones:
        yield "backbone", entry.name
    for probe in config.probes:
        yield "probe", probe.kind
    yield "dataset", config.data.dataset
    yield "crop", config.test.input_crop
    for benchmark in config.test.benchmarks:
        yield "benchmark", benchmark
    for name, value in config.training.items():
        yield name, str(value)
