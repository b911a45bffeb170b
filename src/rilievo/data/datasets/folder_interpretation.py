"""How the numbers of a folder's depth files were interpreted, and what may be wrong about it."""

from collections.abc import Iterator

import numpy as np

from rilievo.data.datasets.folder_depth import FolderDepth
from rilievo.data.datasets.folder_layout import FILE_NAME, StoredKind
from rilievo.io.depth.interpretation import (
    NOT_STATED,
    DepthInterpretation,
    DepthProperty,
    PropertyOrigin,
    unit_property,
)
from rilievo.io.depth.plausibility import bent_surface_warning, straight_surface_warning
from rilievo.io.depth.stored_depth import stored_depth_warnings
from rilievo.records.sample import Truth


def interpret_folder_depth(depth: FolderDepth, truth: Truth) -> DepthInterpretation:
    """Describe how the numbers of a depth file were interpreted to make the ground truth."""
    assert truth.depth is not None, "the image has a depth file"
    assert truth.depth_valid is not None, "depth comes with a mask"
    metres = truth.depth[truth.depth_valid].astype(np.float64)
    layout = depth.layout
    invalid_numbers = () if depth.metadata.is_decodable else layout.invalid_numbers
    warnings = stored_depth_warnings(
        depth.numbers,
        metres if truth.is_metric else None,
        unit=depth.unit,
        invalid=(*invalid_numbers, *layout.sky),
        max_depth=layout.max_depth,
        is_unit_given=layout.scale is not None,
        are_marks_stated=layout.invalid is not None,
    )
    return DepthInterpretation(
        properties=tuple(_properties(depth, truth)),
        warnings=(*warnings, *filter(None, [_surface_warning(depth, truth)])),
        is_unit_given=layout.has_declared_unit,
        median=float(np.median(metres)) if metres.size and truth.is_metric else None,
        nearest=float(metres.min()) if metres.size else None,
        farthest=float(metres.max()) if metres.size else None,
        is_metric=truth.is_metric,
    )


def _surface_warning(depth: FolderDepth, truth: Truth) -> str | None:
    """Warn if the shape of surfaces suggests that the numbers are of another kind."""
    assert truth.depth is not None, "the image has a depth file"
    assert truth.depth_valid is not None, "depth comes with a mask"
    is_saved_by_rilievo = depth.metadata.origin is not None
    # Distances along the rays of a wide lens bend where depth does not.
    is_wide = truth.camera is not None and truth.camera.lens.has_unit_rays
    if is_saved_by_rilievo or is_wide:
        return None
    metres = truth.depth.astype(np.float64)
    if depth.kind is StoredKind.DISPARITY:
        return bent_surface_warning(metres, truth.depth_valid)
    return straight_surface_warning(metres, truth.depth_valid)


def _properties(depth: FolderDepth, truth: Truth) -> Iterator[DepthProperty]:
    """Yield unit, kind, invalid numbers, limits, size and camera, each with who stated it."""
    yield unit_property(
        depth.numbers.raw_values,
        depth.metadata,
        unit=depth.layout.scale,
        source=FILE_NAME,
        guess=depth.scale,
        is_disparity=depth.kind is StoredKind.DISPARITY,
    )
    yield _kind_property(depth)
    yield _invalid_property(depth)
    yield from _limits_property(depth)
    yield _size_property(depth)
    yield _camera_property(depth, truth)


def _kind_property(depth: FolderDepth) -> DepthProperty:
    metadata = depth.metadata
    if metadata.kind is not None:
        return _stated("kind", metadata.kind, metadata.source)
    value = depth.kind.value
    return _guessed("kind", value) if depth.layout.kind is None else _declared("kind", value)


def _invalid_property(depth: FolderDepth) -> DepthProperty:
    metadata = depth.metadata
    invalid_numbers = depth.layout.invalid_numbers
    if metadata.is_decodable:
        invalid_numbers = metadata.invalid
    value = ", ".join(["NaN", *(f"{number:g}" for number in invalid_numbers)])
    if metadata.is_decodable:
        return _stated("invalid", value, metadata.source)
    return (
        _guessed("invalid", value) if depth.layout.invalid is None else _declared("invalid", value)
    )


def _limits_property(depth: FolderDepth) -> Iterator[DepthProperty]:
    """Yield the limits outside which depth is left out, if the YAML declares any."""
    near, far = depth.layout.min_depth, depth.layout.max_depth
    limits = []
    if near > 0:
        limits.append(f"from {near:g} m")
    if far is not None:
        limits.append(f"up to {far:g} m")
    if limits:
        yield _declared("limits", f"depth {' '.join(limits)}, the rest is left out")


def _size_property(depth: FolderDepth) -> DepthProperty:
    height, width = depth.size
    crop = "" if depth.layout.crop is None else f" at {depth.layout.crop}"
    return _stated("size", f"{width}x{height}{crop}", "the file itself")


def _camera_property(depth: FolderDepth, truth: Truth) -> DepthProperty:
    if truth.camera is None:
        return _guessed("camera", "none")
    if depth.metadata.camera is not None:
        return _stated("camera", "known", depth.metadata.source)
    return _declared("camera", "known")


def _stated(name: str, value: str, source: str) -> DepthProperty:
    """Property that the file states."""
    return DepthProperty(name=name, value=value, origin=PropertyOrigin.STATED, place=source)


def _declared(name: str, value: str) -> DepthProperty:
    """Property that the YAML declares."""
    return DepthProperty(name=name, value=value, origin=PropertyOrigin.GIVEN, place=FILE_NAME)


def _guessed(name: str, value: str) -> DepthProperty:
    """Property that neither the file nor the YAML says."""
    return DepthProperty(name=name, value=value, origin=PropertyOrigin.GUESSED, place=NOT_STATED)
