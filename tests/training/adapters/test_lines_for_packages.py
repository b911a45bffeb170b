"""Lines of the guide for networks of other packages, on stand-ins with the same signatures."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rilievo.geometry.cameras.camera import CameraSource
from rilievo.models.base import Model
from rilievo.models.load_options import LoadOptions
from rilievo.models.outside import object_as_model

torch = pytest.importorskip("torch")
GUIDE = (Path(__file__).parents[3] / "docs" / "extending.md").read_text(encoding="utf-8")
SHOWN = re.findall(
    r"^```python\n(.*?)^```", GUIDE.partition("### Networks of other packages")[2], re.DOTALL | re.M
)
PIXELS = np.random.default_rng(0).integers(1, 256, (40, 60, 3), dtype=np.uint8)
K = np.array([[50.0, 0, 30], [0, 50, 20], [0, 0, 1]], np.float32)


class Yolo:
    """``ultralytics.YOLO`` 8.4: takes BGR, returns metres as ``depth.data``."""

    def __init__(self, model: str) -> None:
        assert model.endswith("-depth.pt")

    def predict(self, source: np.ndarray, verbose: bool) -> list[SimpleNamespace]:
        metres = torch.from_numpy(source[..., 0].astype(np.float32))
        return [SimpleNamespace(depth=SimpleNamespace(data=metres[None]))]


class UniDepth:
    """``unidepth.models.UniDepthV2``: takes an RGB tensor, returns metres and intrinsics."""

    @classmethod
    def from_pretrained(cls, name: str) -> "UniDepth":
        assert name.startswith("lpiccinelli/unidepth-v2-")
        return cls()

    def eval(self) -> "UniDepth":
        return self

    def infer(self, rgb: Any) -> dict[str, Any]:
        assert rgb.dtype == torch.uint8
        return {"depth": rgb[None, 2:3].float(), "intrinsics": torch.from_numpy(K)[None]}


def loaded(
    part: str, modules: dict[str, dict[str, type]], monkeypatch: pytest.MonkeyPatch
) -> Model:
    """The model of the block that defines the function ``part``."""
    for name, content in modules.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    [code] = [block for block in SHOWN if f"def {part}(" in block]
    names: dict[str, Callable[..., Any]] = {}
    exec(compile(code, part, "exec"), names)
    load = object_as_model(names[part], part).load
    assert load is not None
    return load(LoadOptions(device="cpu"))


def test_the_lines_for_yolo_give_it_bgr_and_take_its_metres(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = loaded("yolo", {"ultralytics": {"YOLO": Yolo}}, monkeypatch)
    [found] = model.predict_raw([PIXELS])
    np.testing.assert_allclose(found.depth.depth(), PIXELS[..., 2], rtol=1e-6)


def test_the_lines_for_unidepth_take_its_metres_and_its_camera(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    modules = {"unidepth": {}, "unidepth.models": {"UniDepthV2": UniDepth}}
    model = loaded("unidepth", modules, monkeypatch)
    [found] = model.predict_raw([PIXELS])
    np.testing.assert_allclose(found.depth.depth(), PIXELS[..., 2], rtol=1e-6)
    np.testing.assert_allclose(found.known_camera.K, K)
    assert found.known_camera.source is CameraSource.PREDICTED
