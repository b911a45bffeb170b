"""A plugin of pytest for environments without every extra: tests that need a missing one skip.

``tools/try_pythons.py`` names it (``-p without_extras``). Nothing else does: where all extras are
installed, a package that cannot be imported is a defect.
"""

from collections.abc import Generator

import pytest

from rilievo.errors import MissingExtraError

EXTRAS = frozenset(
    (
        "cv2",
        "diffusers",
        "fiftyone",
        "h5py",
        "huggingface_hub",
        "lightning",
        "matplotlib",
        "numba",
        "OpenEXR",
        "openvino",
        "pillow_heif",
        "playwright",
        "prometheus_client",
        "pyarrow",
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
    """Why a test cannot run here: the package of an extra that it needs; None for a defect."""
    while error is not None:
        if isinstance(error, MissingExtraError):
            return str(error)
        name = getattr(error, "name", None) or ""
        if isinstance(error, ModuleNotFoundError) and name.partition(".")[0] in EXTRAS:
            return f"{name} is not installed"
        error = error.__cause__ or error.__context__
    return None


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makemodule() -> Generator[None, object, object]:
    """Collect a module by a class that skips itself where an import of an extra fails."""
    module = yield
    if isinstance(module, pytest.Module):
        load = module._getobj

        def loaded() -> object:
            try:
                return load()
            except BaseException as error:
                why = missing_extra(error)
                if why is None:
                    raise
                raise pytest.skip.Exception(why, allow_module_level=True) from None

        module._getobj = loaded  # type: ignore[method-assign]
    return module


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: pytest.CallInfo[None]) -> Generator[None, object, object]:
    """Turn failures of tests and fixtures for want of an extra into skips."""
    if call.excinfo is not None:
        why = missing_extra(call.excinfo.value)
        if why is not None:
            skipped = pytest.skip.Exception(why).with_traceback(call.excinfo.tb)
            call.excinfo = pytest.ExceptionInfo.from_exception(skipped)
    return (yield)
