"""ONNX Runtime's silent fallback from the device that was named."""

import pytest

from rilievo.errors import OptionError
from rilievo.models.onnx_files.engines import provider_device, providers

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "coreml", "directml"])
def test_the_cpu_in_place_of_another_device_is_refused(device: str) -> None:
    with pytest.raises(OptionError, match=f"device '{device}' is not available.*device='cpu'"):
        provider_device(CPU, device)


@pytest.mark.parametrize(
    ("provider", "device", "recorded"),
    [
        (CPU, "auto", "cpu"),
        (CPU, "cpu", "cpu"),
        (CUDA, "auto", "cuda:0"),
        (CUDA, "cuda:1", "cuda:1"),
    ],
)
def test_the_device_that_was_named_is_taken(provider: str, device: str, recorded: str) -> None:
    assert provider_device(provider, device) == recorded


@pytest.mark.parametrize(("device", "number"), [("auto", "0"), ("cuda", "0"), ("cuda:1", "1")])
def test_cuda_computes_in_fp32_and_searches_no_algorithm_for_each_size(
    device: str, number: str
) -> None:
    chosen, fallback = providers(device, [CUDA, CPU])
    options = {"device_id": number, "cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "0"}
    assert chosen == (CUDA, options)
    assert fallback == CPU
