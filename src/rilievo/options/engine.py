"""Options of running networks."""

from typing import Annotated, ClassVar

from rilievo.frozen import frozen
from rilievo.schema import Door, Record, option


@frozen(slots=False)
class Engine(Record):
    """Device and engine of a model."""

    device: Annotated[
        str, option(first=True, doors=Door.LOCAL | Door.LIVE, affects="speed", recorded="never")
    ] = "auto"
    """Device to run on: auto, cpu, cuda, cuda:N, coreml or directml."""
    engine: Annotated[
        str, option(first=True, doors=Door.LOCAL | Door.LIVE, affects="speed", recorded="never")
    ] = "auto"
    """Inference engine: onnxruntime, openvino (extra 'fast') or torch (models of the extra
    'models', which the others run too, converted once); auto takes the model's default.
    """
    precision: Annotated[str, option(doors=Door.LOCAL | Door.LIVE, recorded="never")] = "fp32"
    """Precision of the arithmetic: fp32; or, faster and less exact, bf16 with openvino or torch,
    fp16 with torch on cuda, int8 with onnxruntime for published models and those of the extra
    'models'. It is recorded in the results.
    """
    threads: Annotated[
        int | None,
        option(
            metavar="N",
            least=1,
            doors=Door.COMMAND | Door.LIVE,
            affects="speed",
            recorded="never",
        ),
    ] = None
    """Threads of the network; by default one per core."""


@frozen(slots=False)
class Speed(Engine):
    """Engine and batches of a run."""

    GROUP: ClassVar[str] = "Speed"

    batch_size: Annotated[
        int, option(least=1, doors=Door.COMMAND, affects="speed", recorded="never")
    ] = 1
    """Photographs that go through the network together; more than one is faster on a GPU."""
