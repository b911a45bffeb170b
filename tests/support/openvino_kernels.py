"""What OpenVINO cannot compute on an old processor."""

import os

import pytest


def skip_without_avx() -> None:
    """Skip the test where OpenVINO is held to SSE4.1, as by a setting of ``make test-kernels``.

    There it fails at networks that resize pictures, as most that predict depth do: it raises an
    error that names the node (`Interpolate node ... bad combination`), or answers with maps of no
    pixels.
    """
    if os.environ.get("ONEDNN_MAX_CPU_ISA") == "SSE41":
        pytest.skip("OpenVINO cannot resize pictures on a processor without AVX")
