"""What a sweep is: every backbone with every probe, on every task, with every seed."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rilievo.errors import OptionError
from rilievo.networks.blueprint import BackboneChoice, Blueprint, DepthChoice, ProbeChoice, Task
from rilievo.train.probe.config import DataChoice, ProbeConfig
from rilievo.train.probe.presets import overridden, preset_config


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneEntry:
    """One backbone of a sweep; its table in the file is [[backbones]]."""

    name: str
    """timm/MODEL, hf/ORG/NAME or hf/FOLDER, diffusers/ORG/NAME, mobilenetv2, or
    package.module:Class."""
    label: str | None = None
    """What tables call it; by default its name, and 'random' behind it where its weights are."""
    weights: str = "pretrained"
    """pretrained, random, or the file that holds them."""
    layers: tuple[int, ...] | None = None
    """Layers taken; by default four, evenly spread. In the file also "each": each of those alone
    too, for the plot of layers."""
    each_layer: bool = False
    """What 'layers = "each"' sets."""
    tokens: bool | None = None
    """Whether the class token counts as further channels."""
    redraw: bool = False
    """Whether every seed draws its own random weights; otherwise all have the same."""

    @property
    def title(self) -> str:
        """What tables call it."""
        return self.label or self.name + (" (random)" if self.weights == "random" else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class TestChoice:
    """What trained probes are scored on; its table in the file is [test]."""

    # Not a test of ours, whatever its name begins with.
    __test__ = False

    split: str | None = None
    """Of the same dataset; by default its first."""
    list_file: str | None = None
    """Your own list of images in place of the split's."""
    limit: int | None = None
    """The first images alone."""
    input_crop: str = "none"
    """What the network gets to see: none, nyu_square, nyu_eigen or kitti_benchmark; of benchmarks
    that are named here, their own."""
    benchmarks: tuple[str, ...] = ()
    """Names that 'rilievo benchmarks' lists; by default 'depth' and 'depth' with scale and shift
    fitted, and 'normals'."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheChoice:
    """Where features of frozen backbones are kept; its table in the file is [cache]."""

    folder: str | None = None
    """By default 'features' in the sweep's folder."""
    enabled: bool = True
    precision: str = "fp16"
    """Of what is kept: fp16 or int8."""
    gigabytes: float = 20.0
    """It does not grow beyond this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepConfig:
    """A sweep, as its file says it."""

    title: str = "Probes on frozen features"
    """Above the table."""
    preset: str = "default"
    """default, probe3d or probe3d-old."""
    backbones: tuple[BackboneEntry, ...]
    tasks: tuple[Task, ...] = (Task.DEPTH, Task.NORMALS)
    seeds: tuple[int, ...] = (0, 1, 2)
    probes: tuple[ProbeChoice, ...] = (ProbeChoice(),)
    size: tuple[int, int] = (480, 480)
    """(height, width) at which networks see every image [px]."""
    depth: DepthChoice = field(default_factory=DepthChoice)
    uncertainty: bool = True
    """Whether normals come with kappa."""
    data: DataChoice
    test: TestChoice = field(default_factory=TestChoice)
    cache: CacheChoice = field(default_factory=CacheChoice)
    training: Mapping[str, int | float | str | bool] = field(default_factory=dict)
    """Fields of the training that are not as in the preset, such as epochs, by their names; those
    of losses and augmentation with a dot: losses.depth."""
    pictures: int = 4
    """Images of which pictures are drawn."""

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
        # Refused before any work is done, rather than cell by cell.
        overridden(self._base(), self.training)

    def configs(
        self, entry: BackboneEntry, layers: tuple[int, ...] | None
    ) -> tuple[ProbeConfig, ...]:
        """The runs of one backbone with some layers taken, in the order they are done."""
        return tuple(
            self._config(entry, layers, probe, task, seed)
            for probe, task, seed in itertools.product(self.probes, self.tasks, self.seeds)
        )

    def _config(
        self,
        entry: BackboneEntry,
        layers: tuple[int, ...] | None,
        probe: ProbeChoice,
        task: Task,
        seed: int,
    ) -> ProbeConfig:
        base = self._base()
        backbone = BackboneChoice(
            name=entry.name,
            weights=entry.weights,
            layers=layers,
            tokens=entry.tokens,
            seed=seed if entry.redraw else 0,
        )
        blueprint = replace(base.blueprint, backbone=backbone, probe=probe, task=task)
        return replace(overridden(replace(base, blueprint=blueprint), self.training), seed=seed)

    def _base(self) -> ProbeConfig:
        blueprint = Blueprint(
            backbone=BackboneChoice(name=self.backbones[0].name),
            size=self.size,
            depth=self.depth,
            uncertainty=self.uncertainty,
        )
        return preset_config(self.preset, blueprint, self.data)
