"""Models in torch, with their normalisation."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rilievo.arrays.shapes import Float, Shaped
from rilievo.errors import ModelError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions, resolve_engine
from rilievo.models.resampling.inference import Arrays
from rilievo.models.resampling.preparation import BEYOND, Preparation
from rilievo.records.prediction_record import Setting
from rilievo.training.arrays import Photographs
from rilievo.training.conversion.onnx_file import TracedModel
from rilievo.training.networks.features import is_out_of_memory
from rilievo.training.tensors import Images, Tensors

ENGINE = "torch"
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchNetwork(nn.Module, ABC):
    """Exportable network from a photograph at its input size to named outputs.

    Attributes:
        mixes_batches: Whether photographs of a batch affect each other, which forbids an export.
        counts_photos: Whether the code loops over photographs: it is exported for one at a time.
    """

    outputs: tuple[str, ...] = ("depth",)
    mixes_batches: bool = False
    counts_photos: bool = False
    mean: Tensor
    std: Tensor

    def __init__(self, preparation: Preparation) -> None:
        super().__init__()
        self.preparation = preparation
        for name, values in (("mean", preparation.mean), ("std", preparation.std)):
            constant = torch.tensor(values, dtype=torch.float32)[:, None, None]
            self.register_buffer(name, constant, persistent=False)

    def forward(self, image: Shaped[Tensor, "b h w 3"]) -> Tensors:
        """Compute float32 outputs for RGB in 0..255."""
        pixels = image.permute(0, 3, 1, 2).to(torch.float32) * self.preparation.rescale
        answers = self.answer((pixels - self.mean) / self.std)
        return tuple(answer.to(torch.float32) for answer in answers)

    @abstractmethod
    def answer(self, pixels: Images) -> Tensors:
        """Compute ``outputs``, in their order, from normalised pixels."""


class TorchModel(TracedModel):
    """Model with its network in torch."""

    def __init__(
        self,
        card: ModelCard,
        network: TorchNetwork,
        options: LoadOptions,
        *,
        weights_sha256: str,
        needs_focal: bool = False,
        settings: Mapping[str, Setting] | None = None,
    ) -> None:
        """Move a network to its device; the number of threads applies to the whole process."""
        options = resolve_engine(options, engines=(ENGINE,), what=f"model '{card.name}'")
        self.card, self.weights_sha256 = card, weights_sha256
        self.preparation, self.needs_focal = network.preparation, needs_focal
        self.device = torch_device(options.device)
        self._dtype = torch_dtype(options, self.device)
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        self.network = network.eval().requires_grad_(False).to(self.device)
        self.settings = {
            "engine": ENGINE,
            "precision": options.precision,
            "device": str(self.device),
            "sizing": str(network.preparation.sizing),
            "resampling": network.preparation.resampling.value,
            **(settings or {}),
        }

    def run(self, batch: Photographs) -> Arrays:
        """Compute outputs by name, in the requested precision."""
        parts = np.split(batch, len(batch)) if self.network.mixes_batches else [batch]
        dtype, mixed = self._dtype, self._dtype is not torch.float32
        try:
            with (
                torch.inference_mode(),
                torch.autocast(self.device.type, dtype if mixed else torch.bfloat16, enabled=mixed),
            ):
                outputs = [self.network(torch.from_numpy(part).to(self.device)) for part in parts]
                answers = [torch.cat(same) for same in zip(*outputs, strict=True)]
        # As of a config that fits no weights.
        except (RuntimeError, LookupError, ValueError) as error:
            raise _as_model_error(self.card, error, batch) from error
        return {
            name: answer.cpu().numpy()
            for name, answer in zip(self.network.outputs, answers, strict=True)
        }


def torch_dtype(options: LoadOptions, device: torch.device) -> torch.dtype:
    """Torch's type for a precision; refuses fp16 on a CPU."""
    if options.precision == "fp16" and device.type == "cpu":
        raise OptionError("precision fp16 is for cuda; on cpu there are fp32 and bf16")
    return _DTYPES[options.precision]


def torch_device(name: str) -> torch.device:
    """Device that is there; ``auto`` is the first GPU, else the CPU."""
    kind, _, index = name.partition(":")
    if name in ("coreml", "directml"):
        raise OptionError(
            f"device '{name}' is for ONNX files; this model runs in torch, on auto, cpu, cuda or "
            "cuda:N"
        )
    if kind not in ("auto", "cpu", "cuda") or (index and not (kind == "cuda" and index.isdigit())):
        raise OptionError(f"no device '{name}'; known: auto, cpu, cuda, cuda:N")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cpu" or (kind == "auto" and not count):
        return torch.device("cpu")
    if int(index or 0) >= count:
        raise OptionError(
            f"device '{name}' is not available: torch sees {count} cuda devices",
            hint=Text("use ", OptionName("device", "cpu")),
        )
    return torch.device("cuda", int(index or 0))


def _as_model_error(card: ModelCard, error: Exception, batch: Photographs) -> ModelError:
    count, height, width, _ = batch.shape
    model, size = f"model '{card.name}'", f"{count} x {height}x{width}"
    if is_out_of_memory(error):
        return ModelError(
            f"{model}: too little memory for {size}:",
            problem=Text(
                "give a smaller ", OptionName("batch_size"), ", or ", OptionName("device", "cpu")
            ),
        )
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return ModelError(f"{model}: the network failed on {size}: {lines[0][:200]}")


class PlainDepthHead(TorchNetwork):
    """Architecture with ``predicted_depth``."""

    def __init__(
        self,
        preparation: Preparation,
        body: nn.Module,
        *,
        offset: float = 0.0,
        mixes_batches: bool = False,
        counts_photos: bool = False,
    ) -> None:
        """Wrap a model; ``offset`` is what its authors add to the head's output [m]."""
        super().__init__(preparation)
        self.body, self.offset = body, offset
        self.mixes_batches, self.counts_photos = mixes_batches, counts_photos

    def answer(self, pixels: Images) -> Tensors:
        """Predict depth, with the offset."""
        depth = self.body(pixel_values=self._pad_evenly_to_fill(pixels)).predicted_depth
        return (depth + self.offset if self.offset else depth,)

    def _pad_evenly_to_fill(self, pixels: Images) -> Float[Tensor, "b 3 H W"]:
        fill = self.preparation.fill
        if fill == 1:
            return pixels
        down, across = -pixels.shape[-2] % fill, -pixels.shape[-1] % fill
        edges = (across // 2, across - across // 2, down // 2, down - down // 2)
        return nn.functional.pad(pixels, edges)


class DepthProHead(TorchNetwork):
    """Depth Pro (Bochkovskii et al. 2024)."""

    counts_photos = True

    def __init__(self, preparation: Preparation, body: Any) -> None:
        super().__init__(preparation)
        self.body = body
        if body.use_fov_model:
            self.outputs = ("depth", "fov")

    def answer(self, pixels: Images) -> Tensors:
        """Predict canonical depth [m] and perhaps the field of view [degrees]."""
        prediction = self.body(pixel_values=pixels)
        depth = 1 / prediction.predicted_depth.float().clamp(min=1 / BEYOND)
        return (depth, prediction.field_of_view) if "fov" in self.outputs else (depth,)
