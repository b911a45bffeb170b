"""One photograph in; depth, surface normals and a 3-D surface out.

::

    prediction = rilievo.predict("photo.jpg")        # a path, URL, bytes, Pillow image or array
    prediction.depth.values                          # (h, w) float32, up to scale
    prediction.normals                               # (3, h, w) float32, towards the camera
    prediction.show()                                # in a notebook: the name alone
    prediction.save("results/photo", ["colour", "ply"])

    model = rilievo.load_model("rilievo/small")      # once, for many photographs
    metres = rilievo.predict("photo.jpg", known=[(320, 240, 2.35)])
    print(metres.measure((120, 200), (310, 195)))    # a length with its range
"""

from importlib import import_module

from rilievo.extensions.subpackages import FUNCTIONS as _FUNCTIONS
from rilievo.system.telemetry import switch_off_telemetry as _switch_off_telemetry
from rilievo.version import VERSION as __version__

# Before any dependency is imported, which is when some of them read it.
_switch_off_telemetry()

# Public names of the core and their modules; importing rilievo loads none of these, and a type
# checker reads ``__init__.pyi``.
_HOMES = {
    "MODELS": "models",
    "CalibrationError": "errors",
    "Camera": "geometry.cameras.camera",
    "DepthKind": "records.depth_map",
    "DepthMap": "records.depth_map",
    "InputError": "errors",
    "KnownCircle": "calibration.sizes",
    "KnownLength": "calibration.sizes",
    "KnownPoint": "calibration.sizes",
    "KnownRectangle": "calibration.sizes",
    "MissingExtraError": "errors",
    "MissingFileError": "errors",
    "MissingPackageError": "errors",
    "ModelError": "errors",
    "NoDepthError": "errors",
    "OptionError": "errors",
    "OutputError": "errors",
    "Photo": "records.sample",
    "PredictOptions": "predicting.options",
    "Prediction": "prediction",
    "RilievoError": "errors",
    "Sample": "records.sample",
    "align": "alignment.ground_truth",
    "calibrate": "calibration.points",
    "calibrate_height": "calibration.floor",
    "load_model": "models",
    "model": "models.function_model",
    "pipeline": "predicting.photographs.pipeline",
    "predict": "predicting.photographs.images",
    "predict_files": "predicting.run",
    "read_photo": "io.photographs.photo",
    "read_prediction": "prediction.readback",
    "save": "prediction.saving",
    "stream": "predicting.videos.stream",
    "unload_model": "models",
    "verify": "io.verification",
}

__all__ = ["__version__", *sorted([*_HOMES, *_FUNCTIONS])]  # pyright: ignore[reportUnsupportedDunderAll]

# Names that our own modules ask for, since the layers let them not import their homes.
_UNLISTED_HOMES = {"save_surface": "io.outputs.surface_files"}


def __getattr__(name: str) -> object:
    """Load a public name at its first use."""
    home = _HOMES.get(name) or _UNLISTED_HOMES.get(name)
    if home is not None:
        value = getattr(import_module(f"rilievo.{home}"), name)
    elif name in _FUNCTIONS:
        from rilievo.extensions.subpackages import resolve_name

        value = resolve_name(_FUNCTIONS[name])
    else:
        from rilievo.errors.foreign_names import hint_for_name

        hint = hint_for_name(name)
        end = f"; {hint}" if hint else ""
        raise AttributeError(f"module 'rilievo' has no attribute '{name}'{end}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
