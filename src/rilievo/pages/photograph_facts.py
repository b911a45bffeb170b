"""Text of a page: meaning of the values, and their origin."""

from collections.abc import Iterator

from rilievo.io.facts import CameraFacts, DepthFacts, Sidecar, SurfaceFacts
from rilievo.io.limits import printable
from rilievo.types import Calibration, CameraSource, DepthKind

_STATEMENTS = {
    DepthKind.METRIC: "Depth in metres.",
    DepthKind.UP_TO_SCALE: "Without metres: proportions are estimated, true sizes are not known.",
    DepthKind.AFFINE: "Without metres: factor and shift of the depth are not known, so there is "
    "no surface.",
    DepthKind.AFFINE_INVERSE: "Without metres: what the model gives is inverse depth with an "
    "unknown shift, so there is no surface.",
}
_MOST_LISTED = 12
_SOURCES = {
    CameraSource.GIVEN: "given",
    CameraSource.FOV: "from the field of view that was given",
    CameraSource.EXIF_35MM: "EXIF, 35 mm equivalent focal length",
    CameraSource.EXIF_SENSOR: "EXIF, focal length and sensor",
    CameraSource.PREDICTED: "estimated by the model",
    CameraSource.MARKERS: "from printed markers",
    CameraSource.VANISHING_POINTS: "from vanishing points of straight edges",
    CameraSource.ASSUMED: "assumed, and may be far off",
}


def statement(about: Sidecar) -> str:
    """State the most important facts about the values in a sentence or two."""
    if about.depth is None:
        return "Surface normals; this model gives no depth, so there is no surface."
    words = _STATEMENTS[about.depth.kind]
    if about.depth.kind is DepthKind.METRIC and about.depth.minimum is not None:
        words = f"Depth in metres: {_range(about.depth)}."
    if about.camera is not None and about.camera.source is CameraSource.ASSUMED:
        words += " The camera is assumed, so angles of the surface may be off."
    return words


def facts_of(about: Sidecar, surface: SurfaceFacts | None) -> Iterator[tuple[str, str]]:
    """Yield the names and values of a list of facts."""
    source, made_by = about.source, about.made_by
    yield "photograph", f"{printable(source.file)}, {source.width} × {source.height} px"
    if about.depth is not None:
        yield "depth", f"{about.depth.kind}: {about.depth.meaning}"
        yield "unit", about.depth.unit if about.depth.unit == "metre" else "none: arbitrary"
        if about.depth.minimum is not None:
            yield "range", _range(about.depth)
        if about.depth.valid_pixels < source.width * source.height:
            yield "pixels with depth", f"{about.depth.valid_pixels:,}"
    if about.camera is not None:
        yield from _camera(about.camera)
    if about.calibration is not None:
        yield from _calibration(about.calibration)
    yield "model", printable(made_by.model)
    yield "licence of the model", printable(made_by.licence)
    yield "SHA-256 of its weights", printable(made_by.weights_sha256)
    settings = [f"{name} {value}" for name, value in made_by.settings.items() if value is not None]
    if settings:
        yield "settings", printable(", ".join(settings))
    if surface is not None:
        yield from _surface(surface)
    yield "made by", f"rilievo {printable(made_by.version)}"


def _range(depth: DepthFacts) -> str:
    unit = " m" if depth.kind is DepthKind.METRIC else ""
    return f"{depth.minimum:.3g} to {depth.maximum:.3g}{unit}"


def _camera(camera: CameraFacts) -> Iterator[tuple[str, str]]:
    (fx, _, cx), (_, fy, cy), _ = camera.K
    yield "camera", _SOURCES[camera.source]
    yield "fx, fy", f"{fx:.1f}, {fy:.1f} px"
    yield "cx, cy", f"{cx:.1f}, {cy:.1f} px"
    yield "field of view", f"{camera.horizontal_fov:.1f}° × {camera.vertical_fov:.1f}°"


def _calibration(calibration: Calibration) -> Iterator[tuple[str, str]]:
    asked = "; ".join(calibration.asked)
    if len(calibration.asked) > _MOST_LISTED:
        asked = f"{len(calibration.asked)} known points or lengths"
    yield "metres from", printable(f"{calibration.method}: {asked}")
    fitted = f"scale {calibration.scale:.4g}, shift {calibration.shift:.4g} in {calibration.space}"
    yield "calibration", fitted
    if calibration.bend is not None:
        yield "smooth field", f"factors differ by up to {calibration.bend:.3g}"
    if 0 < len(calibration.residuals) <= _MOST_LISTED:
        yield "residuals", ", ".join(f"{each:+.3g} m" for each in calibration.residuals)
    if calibration.expected_error is not None:
        yield "expected error", f"{calibration.expected_error:.0%} for 8 pixels in 10"
    if calibration.warning is not None:
        yield "mind", printable(calibration.warning)


def _surface(surface: SurfaceFacts) -> Iterator[tuple[str, str]]:
    step = "every pixel" if surface.pixel_step == 1 else f"one pixel in {surface.pixel_step}²"
    yield "surface", f"{surface.points:,} points, {surface.triangles:,} triangles, {step}"
    yield (
        "torn at",
        f"steps of {surface.edge_jump:.0%} of depth, angles under {surface.grazing_degrees:g}°",
    )
