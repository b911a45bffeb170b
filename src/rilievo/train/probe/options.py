"""The options of ``rilievo train probe`` and ``rilievo train supervised``, and their runs."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from rilievo.errors import OptionError, suggest
from rilievo.networks.blueprint import (
    BackboneChoice,
    Blueprint,
    DepthChoice,
    Form,
    ProbeChoice,
    Task,
)
from rilievo.train.probe.config import (
    DataChoice,
    DepthLoss,
    Losses,
    NormalsLoss,
    ProbeConfig,
    RunOptions,
)
from rilievo.train.probe.presets import overridden, preset_config
from rilievo.types import Setting

TOYS = {
    "depth-cnn": "rilievo.networks.toy:DepthCNN",
    "normal-cnn": "rilievo.networks.toy:NormalCNN",
}
"""Small networks to begin with, by their short names."""


@dataclass(frozen=True, kw_only=True)
class CommonOptions:
    """What both commands ask: the data, the size, how long, where.

    Raises:
        OptionError: If an option is out of range.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")]
    """Folder of the run: a model for 'predict', 'evaluate', 'export' and 'view'."""
    dataset: str = "folder"
    """A name that 'rilievo datasets' lists, or package.module:Class."""
    root: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Where it lies; of 'folder', images/ with depth/, normals/ or both."""
    split: str | None = None
    """By default 'all' of a folder, else 'train' where there is one."""
    variant: str | None = None
    """Of ground truth or crop; by default the first."""
    list_file: Annotated[Path | None, tyro.conf.arg(name="list", metavar="FILE")] = None
    """Your own list of images in place of the split's."""
    window: Annotated[str | None, tyro.conf.arg(metavar="TOP,BOTTOM,LEFT,RIGHT")] = None
    """Rows and columns that are used [px], such as 45,471,41,601 without NYU's white frame."""
    limit: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """The first N images alone."""
    held_out: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """The last N images are kept for validation."""
    task: str = "depth"
    """depth, normals or both."""
    size: Annotated[str, tyro.conf.arg(metavar="HEIGHT,WIDTH")] = "480,480"
    """At which the network sees every photograph, whatever its aspect [px]."""
    largest: Annotated[float, tyro.conf.arg(metavar="METRES")] = 10.0
    """Largest depth there can be; true depth beyond it is not learned from."""
    epochs: int = 10
    batch_size: int = 8
    """Images a step."""
    seed: int = 0
    precision: str = "fp32"
    """fp32, or bf16."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    tensorboard: bool = False
    """Write events for TensorBoard too."""
    resume: bool = False
    """Go on with the run in the folder."""

    @property
    def data(self) -> DataChoice:
        """Which images."""
        window = None if self.window is None else whole_numbers("--window", self.window, 4)
        return DataChoice(
            dataset=self.dataset,
            root=None if self.root is None else str(self.root),
            split=self.split,
            variant=self.variant,
            list_file=None if self.list_file is None else str(self.list_file),
            window=None if window is None else (window[0], window[1], window[2], window[3]),
            limit=self.limit,
            held_out=self.held_out,
        )

    @property
    def run_options(self) -> RunOptions:
        """How it is done."""
        return RunOptions(device=self.device, tensorboard=self.tensorboard, resume=self.resume)

    @property
    def changes(self) -> dict[str, Setting]:
        """Fields of the training that both commands set."""
        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "precision": self.precision,
        }

    def blueprint(self, backbone: BackboneChoice, probe: ProbeChoice, form: Form) -> Blueprint:
        """What is trained."""
        if self.task not in list(Task):
            raise OptionError(f"no task '{self.task}'; {suggest(self.task, Task)}")
        height, width = whole_numbers("--size", self.size, 2)
        return Blueprint(
            backbone=backbone,
            probe=probe,
            task=Task(self.task),
            size=(height, width),
            depth=DepthChoice(form=form, largest=self.largest),
        )


@dataclass(frozen=True, kw_only=True)
class ProbeOptions(CommonOptions):
    """A probe on a frozen backbone."""

    backbone: Annotated[str, tyro.conf.arg(aliases=("-b",), metavar="NAME")]
    """timm/MODEL, hf/ORG/NAME or hf/FOLDER, diffusers/ORG/NAME, mobilenetv2, or
    package.module:Class."""
    weights: str = "pretrained"
    """pretrained, random, or the file that holds them."""
    layers: Annotated[str | None, tyro.conf.arg(metavar="I,J,...")] = None
    """Layers taken, from 0; by default four, evenly spread."""
    probe: str = "dpt"
    """linear, multiscale, dpt, bnhead or light."""
    preset: str = "default"
    """default, probe3d (as its program does), or probe3d-old (as it did for the paper)."""
    learning_rate: float = 5e-4

    @property
    def config(self) -> ProbeConfig:
        """The run."""
        layers = None if self.layers is None else whole_numbers("--layers", self.layers, None)
        backbone = BackboneChoice(name=self.backbone, weights=self.weights, layers=layers)
        blueprint = self.blueprint(backbone, ProbeChoice(kind=self.probe), Form.BINS)
        config = preset_config(self.preset, blueprint, self.data)
        return overridden(config, {**self.changes, "learning_rate": self.learning_rate})


@dataclass(frozen=True, kw_only=True)
class SupervisedOptions(CommonOptions):
    """A whole network: encoder and decoder."""

    network: Annotated[str, tyro.conf.arg(aliases=("-n",), metavar="NAME")] = "depth-cnn"
    """The encoder: timm/MODEL, or another that 'train probe' takes; or depth-cnn and normal-cnn,
    two small whole networks to begin with."""
    weights: str = "random"
    """What the encoder starts from: random, pretrained, or a file."""
    decoder: str | None = None
    """light, dpt, linear, multiscale or bnhead; by default light, and linear for the small ones."""
    depth_loss: str = "scale_invariant"
    """scale_invariant, l1, mse, berhu, or probe."""
    normals_loss: str = "angular"
    """angular, or uncertain, with which the network says how sure it is."""
    learning_rate: float = 1e-3
    """Of the decoder."""
    encoder_rate: float | None = None
    """Of the encoder; by default that of the decoder where it begins at random, else a tenth."""

    @property
    def config(self) -> ProbeConfig:
        """The run."""
        for what, given, known in (
            ("--depth-loss", self.depth_loss, DepthLoss),
            ("--normals-loss", self.normals_loss, NormalsLoss),
        ):
            if given not in list(known):
                raise OptionError(f"{what} has no '{given}'; {suggest(given, known)}")
        backbone = BackboneChoice(name=TOYS.get(self.network, self.network), weights=self.weights)
        decoder = self.decoder or ("linear" if self.network in TOYS else "light")
        blueprint = self.blueprint(backbone, ProbeChoice(kind=decoder), Form.SIGMOID)
        uncertain = self.normals_loss == NormalsLoss.UNCERTAIN
        config = ProbeConfig(
            blueprint=replace(blueprint, uncertainty=uncertain),
            data=self.data,
            losses=Losses(depth=DepthLoss(self.depth_loss), normals=NormalsLoss(self.normals_loss)),
            learning_rate=self.learning_rate,
            backbone_rate=self._encoder_rate,
        )
        return overridden(config, self.changes)

    @property
    def _encoder_rate(self) -> float:
        if self.encoder_rate is not None:
            return self.encoder_rate
        return self.learning_rate * (1.0 if self.weights == "random" else 0.1)


def whole_numbers(flag: str, text: str, count: int | None) -> tuple[int, ...]:
    """Numbers with commas between.

    Args:
        flag: For messages.
        text: What was given.
        count: How many are expected; None for any.

    Raises:
        OptionError: If they are not whole, or not as many.
    """
    parts = [part.strip() for part in text.split(",")]
    numbers = tuple(int(part) for part in parts if part.removeprefix("-").isdecimal())
    if len(numbers) != len(parts) or (count is not None and len(numbers) != count):
        how_many = "whole numbers" if count is None else f"{count} whole numbers"
        raise OptionError(f"{flag} is {how_many} with commas between, got '{text}'")
    return numbers
