"""ONNX Runtime's silent fallback from the device that was named."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from rilievo.errors import ModelError, OptionError
from rilievo.models.default.embedded import embedded_file
from rilievo.models.onnx_files import engines
from rilievo.models.onnx_files.engines import inference_session, provider_device, providers

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


def open_without_driver(path: Path, options: Any, *, providers: list[Any], **others: Any) -> Any:
    """Open a session as onnxruntime-gpu does on a machine without NVIDIA's driver."""
    session = onnxruntime.InferenceSession(path, options, providers=[CPU], **others)
    if providers != [CPU]:
        raise RuntimeError("CUDA failure 35: CUDA driver version is insufficient")
    return session


@pytest.fixture
def driverless(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ONNX Runtime for CUDA whose libraries are partly missing, and no driver."""
    runtime = SimpleNamespace(
        InferenceSession=open_without_driver,
        SessionOptions=onnxruntime.SessionOptions,
        get_available_providers=lambda: [CUDA, CPU],
        preload_dlls=lambda: sys.stdout.write("Failed to load libcurand.so.10"),
    )
    monkeypatch.setattr(engines, "import_onnxruntime", lambda: runtime)


@pytest.mark.usefixtures("driverless")
def test_without_a_driver_the_device_is_at_fault_and_not_the_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    message = r"^device 'cuda' is not available: .*could not start it.*nvidia-smi.*device='cpu'"
    with pytest.raises(OptionError, match=message):
        inference_session(embedded_file("rilievo/small"), "cuda", 1)
    session = inference_session(embedded_file("rilievo/small"), "auto", 1)
    assert session.get_providers() == [CPU]
    assert capsys.readouterr().out == ""


@pytest.mark.usefixtures("driverless")
@pytest.mark.parametrize("device", ["auto", "cuda", "cpu"])
def test_a_file_that_no_device_can_run_is_at_fault(device: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"\x08\x08")
    with pytest.raises(ModelError, match="is not a network that ONNX Runtime can run"):
        inference_session(path, device, 1)
