"""The catalogue: strong models for which the authors, or a mirror, publish ONNX files.

The table is data: reading it imports no model and contacts no server. Sizes and SHA-256 are those
of the published files. Where none is known, the hash of the first download is kept, and later
downloads of the same commit are checked against it. The licence is always the authors': a mirror
cannot grant more.
"""

from collections.abc import Mapping
from typing import Any

from rilievo.errors import ModelError, suggest
from rilievo.models.catalogue.entry import Entry, RemoteFile
from rilievo.types import DepthKind


def _file(path: str, size: int | None = None, sha256: str | None = None) -> RemoteFile:
    return RemoteFile(path=path, size=size, sha256=sha256)


def _moge(size: str, letter: str, file: RemoteFile, **rest: Any) -> Entry:
    return Entry(
        name=f"moge-2/{size}",
        summary=f"MoGe-2, ViT-{letter.upper()}: metres, normals, mask and camera in one pass",
        repository=f"Ruicheng/moge-2-vit{letter}-normal-onnx",
        files=(file,),
        adapter="moge",
        kind=DepthKind.METRIC,
        normals=True,
        camera=True,
        licence="MIT",
        commercial=True,
        **rest,
    )


_MOGE = (
    _moge(
        "small",
        "s",
        _file(
            "model.onnx",
            140_852_051,
            "24eacb5dc7a2c54c7bc98f7de085ffbed79ad006ea5b664c2c2cdc02ff3a52f0",
        ),
        speed="1.8 s",
        revision="e50ffda41565591092adea54c6ac83d6212e1e23",
    ),
    _moge(
        "base",
        "b",
        _file(
            "model.onnx",
            419_411_850,
            "bbf14e07a30f11e69d36ab861590123f5598ababcbc8946a063eb4a966f35a21",
        ),
    ),
    _moge(
        "large",
        "l",
        _file(
            "model.onnx",
            1_324_265_014,
            "afbc4ccc3450298f3afb35b90f015f4c4f552dea21dc6470d5f7b78b77e2d751",
        ),
    ),
)


def _zipdepth_table(*scores: tuple[float, float]) -> str:
    """Format AbsRel and δ1 of one row of ZipDepth's Table 1, on NYUv2, KITTI and ETH3D."""
    named = zip(("NYUv2", "KITTI", "ETH3D"), scores, strict=True)
    figures = ", ".join(f"{name} {absrel:.3f}/{delta:.3f}" for name, (absrel, delta) in named)
    return (
        f"AbsRel/δ1 {figures}; scale and shift fitted to each image (ZipDepth, ECCV 2026, Table 1)"
    )


def _anything_v2(variant: str, file: RemoteFile, what: str = "", **rest: Any) -> Entry:
    size = variant.partition("-")[0]
    free = size == "small"
    return Entry(
        name=f"depth-anything-v2/{variant}",
        summary=f"Depth Anything V2, ViT-{size[0].upper()} at 518{what}",
        repository=f"onnx-community/depth-anything-v2-{size}",
        revision="c70d1ddbcd93c9bda8098268cc3554adf5e8dd4f" if free else "main",
        files=(file,),
        adapter="pictures",
        kind=DepthKind.AFFINE_INVERSE,
        licence="Apache-2.0" if free else "CC-BY-NC-4.0",
        commercial=free,
        **rest,
    )


_V2_TWIN = "depth-anything/Depth-Anything-V2-{}-hf"
_ANYTHING_V2 = (
    _anything_v2(
        "small",
        _file(
            "onnx/model.onnx",
            99_060_839,
            "afb6a5c28f3b6bf1618c6e43f02073ef9dfdc70e937502d51603e57b0a1df10c",
        ),
        speed="0.6 s",
        published=_zipdepth_table((0.061, 0.962), (0.084, 0.934), (0.063, 0.967)),
        twin=_V2_TWIN.format("Small"),
    ),
    _anything_v2(
        "small-fp16",
        _file(
            "onnx/model_fp16.onnx",
            49_642_442,
            "2df6223f206b5164e21f664ace61dabeb9bb6a49b8b5a3e00510b4807d0f5b04",
        ),
        ", weights in 16 bits",
    ),
    _anything_v2(
        "small-int8",
        _file(
            "onnx/model_quantized.onnx",
            27_258_801,
            "fcf51f1b230362b28690bb9d1809bf0431f29cad20534e3f589bd7285547f20d",
        ),
        ", in 8 bits",
    ),
    _anything_v2("base", _file("onnx/model.onnx"), megabytes=389.0, twin=_V2_TWIN.format("Base")),
    _anything_v2(
        "large", _file("onnx/model.onnx"), megabytes=1340.0, twin=_V2_TWIN.format("Large")
    ),
)


def _anything_3(size: str, graph: RemoteFile, weights: RemoteFile, **rest: Any) -> Entry:
    return Entry(
        name=f"depth-anything-3/{size}",
        summary=f"Depth Anything 3, ViT-{size[0].upper()} at 504: depth up to scale, camera",
        repository=f"onnx-community/depth-anything-v3-{size}",
        files=(graph, weights),
        adapter="depth_anything_3",
        kind=DepthKind.UP_TO_SCALE,
        confidence=True,
        camera=True,
        licence="Apache-2.0",
        commercial=True,
        **rest,
    )


_ANYTHING_3 = (
    _anything_3(
        "small",
        _file(
            "onnx/model.onnx",
            640_691,
            "396008798244a074297fd88e450433b1357fc687f534939375c804ded86e7b2a",
        ),
        _file(
            "onnx/model.onnx_data",
            104_702_464,
            "802bb24741e67f5bb2b369fc64d40afe11439cc895d676d658d65cfb75c9860f",
        ),
        revision="0b6a7f3bf5595f9950b91389e0da3a0de130324c",
    ),
    _anything_3("base", _file("onnx/model.onnx"), _file("onnx/model.onnx_data"), megabytes=413.0),
)


def _metric3d(variant: str, file: RemoteFile, **rest: Any) -> Entry:
    size, _, precision = variant.partition("-")
    return Entry(
        name=f"metric3d-v2/{variant}",
        summary=f"Metric3D v2, ViT-{size[0].upper()} ({precision or 'fp16'}): metres and normals "
        "of a known focal length",
        repository=f"onnx-community/metric3d-vit-{size}",
        files=(file,),
        adapter="metric3d",
        kind=DepthKind.METRIC,
        normals=True,
        # The mirror states CC0, which the authors do not; parts of the training data forbid it.
        licence="not stated (code BSD-2-Clause; training data partly non-commercial)",
        commercial=None,
        **rest,
    )


_METRIC3D = (
    _metric3d(
        "small",
        _file(
            "onnx/model_fp16.onnx",
            75_778_144,
            "4afcc0893dbb3c0c63e270f8bb24bfa63ccf2dc68ab9c0c3601fdae4f0aafd9b",
        ),
        revision="ee63b95d92d2f629b3e019e88f57eea7c1e97d4b",
    ),
    _metric3d(
        "small-fp32",
        _file("onnx/model.onnx", 150_739_433, "674a665052f01bb2"),
        revision="ee63b95d92d2f629b3e019e88f57eea7c1e97d4b",
    ),
    _metric3d(
        "large",
        _file(
            "onnx/model_fp16.onnx",
            825_204_259,
            "bede661725a7e1808f2cd69d07f3d2a6e5b011a1bde4128e5df9d21232224d8e",
        ),
    ),
)


def _midas(name: str, summary: str, repository: str, file: RemoteFile, **rest: Any) -> Entry:
    return Entry(
        name=name,
        summary=summary,
        repository=repository,
        files=(file,),
        adapter="pictures",
        kind=DepthKind.AFFINE_INVERSE,
        commercial=True,
        **rest,
    )


_MIDAS = (
    _midas(
        "midas/small",
        "MiDaS 2.1 small at 256: light",
        "https://github.com/isl-org/MiDaS/releases/download/v2_1",
        _file(
            "model-small.onnx",
            None,
            "2d8c6cb8f415229daf1eb041024208e2608c9f98e17c81cc7c6ecb449c56fd58",
        ),
        revision="v2_1",
        licence="MIT",
        published=_zipdepth_table((0.115, 0.868), (0.259, 0.543), (0.134, 0.837)),
        megabytes=66.8,
    ),
    _midas(
        "dpt/hybrid",
        "DPT, ResNet-50 and ViT-B at 384 (MiDaS 3)",
        "Xenova/dpt-hybrid-midas",
        _file("onnx/model.onnx"),
        licence="Apache-2.0",
        speed="1.0 s",
        megabytes=490.0,
        twin="Intel/dpt-hybrid-midas",
    ),
    _midas(
        "dpt/large",
        "DPT, ViT-L at 384 (MiDaS 3)",
        "Xenova/dpt-large",
        _file("onnx/model.onnx"),
        licence="Apache-2.0",
        megabytes=1368.0,
        twin="Intel/dpt-large",
    ),
)

_DEPTH_PRO = Entry(
    name="depth-pro",
    summary="Depth Pro at 1536, weights in 4 bits: any scene; sees the focal length too",
    repository="onnx-community/DepthPro-ONNX",
    files=(_file("onnx/model_q4.onnx"),),
    adapter="pictures",
    kind=DepthKind.METRIC,
    camera=True,
    licence="apple-amlr (research only)",
    commercial=False,
    megabytes=746.0,
    twin="apple/DepthPro-hf",
)

# A new model is one line here, and one file beside this one if its family is new.
_ENTRIES = (*_MOGE, *_ANYTHING_V2, *_ANYTHING_3, *_METRIC3D, *_MIDAS, _DEPTH_PRO)
ENTRIES: Mapping[str, Entry] = {entry.name: entry for entry in _ENTRIES}


def find_entry(name: str) -> Entry:
    """Find a model of the catalogue by name."""
    if name not in ENTRIES:
        raise ModelError(f"the catalogue has no model '{name}'; {suggest(name, ENTRIES)}")
    return ENTRIES[name]
