"""Options of ``rilievo train probe`` and ``rilievo train supervised``."""

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
"""Small networks to start with, by their short names."""


@dataclass(frozen=True, kw_only=True)
class CommonOptions:
    """Options of both commands: data, size, length and output.

    Raises:
        OptionError: If an option is out of range.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")]
    """Folder of the run: a model for 'predict', 'evaluate', 'export' and 'view'."""
    dataset: str = "folder"
    """Name that 'rilievo datasets' lists, or package.module:Class."""
    root: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder of the dataset; for 'folder', one with images/ and depth/, normals/ or both."""
    split: str | None = None
    """Split of the dataset; by default 'all' of a folder, else 'train' where there is one."""
    variant: str | None = None
    """Variant of the ground truth or crop; by default the first."""
    list_file: Annotated[Path | None, tyro.conf.arg(name="list", metavar="FILE")] = None
    """Your own list of images in place of the split's."""
    window: Annotated[str | None, tyro.conf.arg(metavar="TOP,BOTTOM,LEFT,RIGHT")] = None
    """Part of the image that is used [px]; 45,471,41,601 leaves out NYU's white border."""
    limit: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Use only the first N images."""
    held_out: Annotated[int, tyro.conf.arg(metavar="N")] = 0
    """Hold out the last N images for validation."""
    task: str = "depth"
    """Task: depth, normals or both."""
    size: Annotated[str, tyro.conf.arg(metavar="HEIGHT,WIDTH")] = "480,480"
    """Size at which the network sees every photograph, whatever its aspect [px]."""
    largest: Annotated[float, tyro.conf.arg(metavar="METRES")] = 10.0
    """Largest depth that can be predicted; true depth beyond it is not learned from."""
    epochs: int = 10
    batch_size: int = 8
    """Images per step."""
    seed: int = 0
    precision: str = "fp32"
    """Precision of the arithmetic: fp32, or bf16."""
    device: str = "auto"
    """Device: auto, cpu, cuda or cuda:N."""
    tensorboard: bool = False
    """Write events for TensorBoard too."""
    resume: bool = False
    """Resume the run in the folder."""

    @property
    def data(self) -> DataChoice:
        """Images to train on."""
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
        """Options of the run that do not change its result."""
        return RunOptions(device=self.device, tensorboard=self.tensorboard, resume=self.resume)

    @property
    def changes(self) -> dict[str, Setting]:
        """Fields of the configuration that both commands set."""
        return {
            "epochs": self.epochs,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "precision": self.precision,
        }

    def blueprint(self, backbone: BackboneChoice, probe: ProbeChoice, form: Form) -> Blueprint:
        """Return the blueprint of the network to train."""
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
    """Options of a probe on a frozen backbone."""

    backbone: Annotated[str, tyro.conf.arg(aliases=("-b",), metavar="NAME")]
    """Backbone: timm/MODEL, hf/ORG/NAME or hf/FOLDER, diffusers/ORG/NAME, mobilenetv2, or
    package.module:Class."""
    weights: str = "pretrained"
    """Weights of the backbone: pretrained, random, or a file."""
    layers: Annotated[str | None, tyro.conf.arg(metavar="I,J,...")] = None
    """Layers to take features from, counted from 0; by default four, evenly spaced."""
    probe: str = "dpt"
    """Kind of probe: linear, multiscale, dpt, bnhead or light."""
    preset: str = "default"
    """Preset: default, probe3d (as its program does), or probe3d-old (as it did for the paper)."""
    learning_rate: float = 5e-4

    @property
    def config(self) -> ProbeConfig:
        """Configuration of the run."""
        layers = None if self.layers is None else whole_numbers("--layers", self.layers, None)
        backbone = BackboneChoice(name=self.backbone, weights=self.weights, layers=layers)
        blueprint = self.blueprint(backbone, ProbeChoice(kind=self.probe), Form.BINS)
        config = preset_config(self.preset, blueprint, self.data)
        return overridden(config, {**self.changes, "learning_rate": self.learning_rate})


@dataclass(frozen=True, kw_only=True)
class SupervisedOptions(CommonOptions):
    """Options of a whole network: encoder and decoder."""

    network: Annotated[str, tyro.conf.arg(aliases=("-n",), metavar="NAME")] = "depth-cnn"
    """Encoder: timm/MODEL, or another that 'train probe' takes; or depth-cnn or normal-cnn, two
    small whole networks to start with."""
    weights: str = "random"
    """Initial weights of the encoder: random, pretrained, or a file."""
    decoder: str | None = None
    """Decoder: light, dpt, linear, multiscale or bnhead; by default light, and linear for the two
    small networks."""
    depth_loss: str = "scale_invariant"
    """Loss of depth: scale_invariant, l1, mse, berhu, or probe."""
    normals_loss: str = "angular"
    """Loss of normals: angular, or uncertain, with which the network also predicts kappa, the
    confidence of its normals."""
    learning_rate: float = 1e-3
    """Learning rate of the decoder."""
    encoder_rate: float | None = None
    """Learning rate of the encoder; by default the decoder's with random weights, else a tenth."""

    @property
    def config(self) -> ProbeConfig:
        """Configuration of the run."""
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
    """Parse whole numbers with commas between.

    Args:
        flag: Name of the option, for messages.
        text: Text to parse.
        count: Expected count of numbers; None for any.

    Raises:
        OptionError: If a number is not whole, or the count differs.
    """
    parts = [part.strip() for part in text.split(",")]
    numbers = tuple(int(part) for part in parts if part.removeprefix("-").isdecimal())
    if len(numbers) != len(parts) or (count is not None and len(numbers) != count):
        how_many = "whole numbers" if count is None else f"{count} whole numbers"
        raise OptionError(f"{flag} is {how_many} with commas between, got '{text}'")
    return numbers
