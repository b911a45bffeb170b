"""A plugin of pytest where an extra or a subpackage is missing: tests that need it skip.

``tools/try_pythons.py`` names it (``-p without_extras``). Nothing else does: where all extras are
installed, a package that cannot be imported is a defect.
"""

from collections.abc import Generator, Iterable
from pathlib import Path

import pytest

import rilievo
from rilievo.errors import MissingExtraError

PACKAGE = Path(rilievo.__file__).parent
SUBPACKAGES = frozenset(("cluster", "data", "evaluation", "serving", "training"))
EXTRAS = frozenset(
    (
        "av",
        "cv2",
        "diffusers",
        "fiftyone",
        "h5py",
        "huggingface_hub",
        "lightning",
        "matplotlib",
        "mcp",
        "mcp_types",
        "numba",
        "OpenEXR",
        "openvino",
        "pillow_heif",
        "playwright",
        "prometheus_client",
        "pydantic",
        "ray",
        "replicate",
        "safetensors",
        "starlette",
        "tensorboard",
        "timm",
        "torch",
        "torchvision",
        "transformers",
        "uvicorn",
        "websockets",
        "yaml",
    )
)
"""Packages that only extras bring, and those of the tests that need one."""


def missing_extra(error: BaseException | None) -> str | None:
    """Tell which package or subpackage a test needs and does not find; None for a defect."""
    while error is not None:
        if isinstance(error, MissingExtraError):
            return str(error)
        name = getattr(error, "name", None) or ""
        top, _, rest = name.partition(".")
        if isinstance(error, ModuleNotFoundError) and top in EXTRAS:
            return f"{name} is not installed"
        subpackage = rest.partition(".")[0]
        if top == "rilievo" and subpackage in SUBPACKAGES and not (PACKAGE / subpackage).exists():
            return f"the subpackage {subpackage} is missing from this installation"
        error = error.__cause__ or error.__context__
    return None


class SkippedWithoutExtras(pytest.Module):
    """A module of tests that skips itself where an import of an extra fails."""

    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        try:
            return super().collect()
        except BaseException as error:
            why = missing_extra(error)
            if why is None:
                raise
            raise pytest.skip.Exception(why, allow_module_level=True) from None


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    """Collect every module of tests so."""
    return SkippedWithoutExtras.from_parent(parent, path=module_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, object, object]:
    """Turn failures of tests and fixtures for want of an extra into skips."""
    if call.excinfo is not None:
        why = missing_extra(call.excinfo.value)
        if why is not None:
            skipped = pytest.skip.Exception(why).with_traceback(call.excinfo.tb)
            call.excinfo = pytest.ExceptionInfo.from_exception(skipped)
    return (yield)
