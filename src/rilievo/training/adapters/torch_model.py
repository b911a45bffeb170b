"""Models whose network runs in torch, and the choice of a device and a precision."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rilievo.arrays.shapes import Float, Shaped
from rilievo.errors import ModelError, OptionError
from rilievo.errors.messages import OptionName, Text, count_text
from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions, resolve_engine
from rilievo.models.resampling.inference import Arrays
from rilievo.models.resampling.preparation import INFINITE_DEPTH, Preparation
from rilievo.records.prediction_record import Setting
from rilievo.training.arrays import Photographs
from rilievo.training.conversion.onnx_file import TracedModel
from rilievo.training.networks.features import is_out_of_memory
from rilievo.training.tensors import Images, Tensors

ENGINE = "torch"
_MAX_ERROR_LENGTH = 200
"""Characters that are kept of the first line of torch's message."""
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchNetwork(nn.Module, ABC):
    """Network that takes photographs at its input size, normalises them and returns named outputs.

    Subclasses implement ``compute_outputs``. The network can be exported to ONNX.

    Attributes:
        outputs: Names of the outputs, in their order.
        depends_on_batch: Whether the photographs of a batch affect each other. Such a network runs
            on one photograph at a time, and cannot be exported.
        loops_over_batch: Whether the code loops over the photographs of a batch. A trace has a
            fixed number of iterations, so such a network is exported for one photograph at a time.
    """

    outputs: tuple[str, ...] = ("depth",)
    depends_on_batch: bool = False
    loops_over_batch: bool = False
    mean: Tensor
    std: Tensor

    def __init__(self, preparation: Preparation) -> None:
        super().__init__()
        self.preparation = preparation
        self.register_buffer("mean", _per_channel(preparation.mean), persistent=False)
        self.register_buffer("std", _per_channel(preparation.std), persistent=False)

    def forward(self, image: Shaped[Tensor, "b h w 3"]) -> Tensors:
        """Compute the outputs, in float32, for RGB in 0..255."""
        pixels = image.permute(0, 3, 1, 2).to(torch.float32) * self.preparation.rescale
        outputs = self.compute_outputs((pixels - self.mean) / self.std)
        return tuple(output.to(torch.float32) for output in outputs)

    @abstractmethod
    def compute_outputs(self, pixels: Images) -> Tensors:
        """Compute ``outputs``, in their order, from normalised pixels."""


def _per_channel(values: tuple[float, float, float]) -> Float[Tensor, "3 1 1"]:
    return torch.tensor(values, dtype=torch.float32)[:, None, None]


class TorchModel(TracedModel):
    """Model whose network runs in torch."""

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
        """Move a network to its device; the number of threads applies to the whole process.

        ``needs_focal`` means that the network computes depth for a focal length equal to the
        photograph's width, so it has to be rescaled. ``settings`` are recorded with each
        prediction, in addition to those of the engine.
        """
        options = resolve_engine(options, engines=(ENGINE,), what=f"model '{card.name}'")
        self.card = card
        self.weights_sha256 = weights_sha256
        self.preparation = network.preparation
        self.needs_focal = needs_focal
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
        """Compute the network's outputs by name, in the requested precision."""
        # One by one if the photographs of a batch would affect each other.
        batches = np.split(batch, len(batch)) if self.network.depends_on_batch else [batch]
        try:
            with torch.inference_mode(), self._autocast():
                results = [
                    self.network(torch.from_numpy(images).to(self.device)) for images in batches
                ]
                outputs = [torch.cat(tensors) for tensors in zip(*results, strict=True)]
        # A configuration that does not fit the weights may raise any of these.
        except (RuntimeError, LookupError, ValueError) as error:
            raise _as_model_error(self.card, error, batch, self.device) from error
        names = self.network.outputs
        return {name: output.cpu().numpy() for name, output in zip(names, outputs, strict=True)}

    def _autocast(self) -> torch.autocast:
        """Context in which the network computes in the requested precision."""
        if self._dtype is torch.float32:  # disabled, because it needs no autocast
            return torch.autocast(self.device.type, torch.bfloat16, enabled=False)
        return torch.autocast(self.device.type, self._dtype)


def torch_dtype(options: LoadOptions, device: torch.device) -> torch.dtype:
    """Torch's type for a precision."""
    if options.precision == "fp16" and device.type == "cpu":
        raise OptionError("precision fp16 needs a GPU; on a CPU, use fp32 or bf16")
    return _DTYPES[options.precision]


def torch_device(name: str) -> torch.device:
    """Find a device by its name; ``auto`` is the first GPU, or the CPU if there is no GPU."""
    if name in ("coreml", "directml"):
        raise OptionError(
            f"device '{name}' is only for ONNX files, but this model runs in torch; choose auto, "
            "cpu, cuda or cuda:N"
        )
    device_type, _, index = name.partition(":")
    has_valid_index = not index or (device_type == "cuda" and index.isdigit())
    if device_type not in ("auto", "cpu", "cuda") or not has_valid_index:
        raise OptionError(f"no device '{name}'; known: auto, cpu, cuda, cuda:N")

    gpu_count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device_type == "cpu" or (device_type == "auto" and not gpu_count):
        return torch.device("cpu")
    gpu_index = int(index or 0)
    if gpu_index >= gpu_count:
        raise OptionError(
            f"device '{name}' is not available: torch finds {count_text(gpu_count, 'cuda device')}",
            hint=Text("use ", OptionName("device", "cpu")),
        )
    return torch.device("cuda", gpu_index)


def _as_model_error(
    card: ModelCard, error: Exception, batch: Photographs, device: torch.device
) -> ModelError:
    """Error that names the size of the batch, with advice if the memory was too small."""
    count, height, width, _ = batch.shape
    model = f"model '{card.name}'"
    size = f"{count_text(count, 'photograph')} of {width} x {height} pixels"
    if is_out_of_memory(error):
        what_to_shrink = OptionName("batch_size") if count > 1 else "model"
        cpu_advice = "" if device.type == "cpu" else Text(", or ", OptionName("device", "cpu"))
        advice = Text("use a smaller ", what_to_shrink, cpu_advice)
        return ModelError(f"{model}: not enough memory for {size}:", problem=advice)
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return ModelError(f"{model}: the network failed on {size}: {lines[0][:_MAX_ERROR_LENGTH]}")


class TransformersNetwork(TorchNetwork):
    """Depth model of transformers, with its normalisation.

    Attributes:
        body: Model of transformers, whose output has ``predicted_depth``.
        depth_offset: Constant that its authors add to depth and transformers leaves out [m].
    """

    def __init__(
        self,
        preparation: Preparation,
        body: nn.Module,
        *,
        depth_offset: float = 0.0,
        depends_on_batch: bool = False,
        loops_over_batch: bool = False,
    ) -> None:
        """Wrap a model; ``TorchNetwork`` explains the last two arguments."""
        super().__init__(preparation)
        self.body = body
        self.depth_offset = depth_offset
        self.depends_on_batch = depends_on_batch
        self.loops_over_batch = loops_over_batch

    def compute_outputs(self, pixels: Images) -> Tensors:
        """Predict depth, with the offset."""
        padded = _pad_to_multiple(pixels, self.preparation.pad_multiple)
        depth = self.body(pixel_values=padded).predicted_depth
        return (depth + self.depth_offset if self.depth_offset else depth,)


def _pad_to_multiple(pixels: Images, multiple: int) -> Float[Tensor, "b 3 H W"]:
    """Pad height and width with zeros to multiples, evenly on both sides as far as possible."""
    if multiple == 1:
        return pixels
    rows = -pixels.shape[-2] % multiple
    columns = -pixels.shape[-1] % multiple
    left = columns // 2
    top = rows // 2
    return nn.functional.pad(pixels, (left, columns - left, top, rows - top))


class DepthProNetwork(TorchNetwork):
    """Depth Pro (Bochkovskii et al. 2024) of transformers, with its normalisation.

    Attributes:
        body: Model of transformers. If it predicts the field of view, "fov" is a second output.
    """

    loops_over_batch = True

    def __init__(self, preparation: Preparation, body: Any) -> None:
        super().__init__(preparation)
        self.body = body
        if body.use_fov_model:
            self.outputs = ("depth", "fov")

    def compute_outputs(self, pixels: Images) -> Tensors:
        """Predict depth [m] for a focal length of the image's width, and the field of view [°]."""
        prediction = self.body(pixel_values=pixels)
        depth = 1 / prediction.predicted_depth.float().clamp(min=1 / INFINITE_DEPTH)
        if "fov" in self.outputs:
            return depth, prediction.field_of_view
        return (depth,)
