"""Probe3D (El Banani et al. 2024): what features know of surface normals."""

from rilievo.evaluate.benchmark import Benchmark, InputCrop, Interpolation, Published, Task

_METRICS = ("within_11_25", "within_22_5", "within_30", "rmse")
_PAPER = "Probe3D, arXiv 2404.08636v1, Tables 2 and 3"

# The paper's tables for NYUv2 and, behind them, NAVI: shares [%] and RMSE [degrees].
_TABLE = {
    "MAE B16": (44.60, 66.08, 74.37, 30.34, 30.27, 57.70, 69.97, 32.12),
    "MAE L16": (45.60, 67.50, 75.67, 29.57, 30.36, 58.20, 70.54, 31.59),
    "FCMAE CNXTv2-B 22k": (43.87, 68.73, 78.05, 27.24, 28.91, 58.06, 70.76, 31.54),
    "DINO B16": (49.11, 69.32, 77.02, 28.35, 39.56, 65.85, 76.23, 28.75),
    "iBOT B16 1k": (52.60, 72.52, 79.60, 26.89, 40.65, 66.79, 76.99, 28.32),
    "iBOT B16 22k": (54.54, 73.79, 80.52, 26.10, 22.75, 50.60, 64.10, 35.03),
    "iBOT L16 1k": (54.53, 74.30, 81.06, 25.78, 43.45, 69.20, 78.84, 27.24),
    "iBOT L16 22k": (58.51, 76.68, 82.90, 24.46, 45.19, 70.51, 79.84, 26.56),
    "DINOv2 B14": (62.01, 79.32, 85.32, 22.41, 47.55, 72.92, 81.89, 25.27),
    "DINOv2 L14": (64.05, 80.78, 86.48, 21.55, 50.15, 74.70, 83.12, 24.52),
    "DINOv2+reg B14": (61.37, 79.12, 85.22, 22.54, 45.81, 72.00, 81.28, 25.66),
    "DeiT3 B16": (39.58, 64.22, 74.07, 29.44, 26.91, 55.66, 68.71, 32.47),
    "DeiT3 L16": (55.73, 75.34, 82.00, 25.05, 32.91, 61.54, 73.49, 29.92),
    "ConvNeXt-B 22k": (25.79, 47.42, 59.15, 35.40, 21.72, 50.54, 64.75, 34.34),
    "CLIP B16": (28.85, 51.93, 63.07, 35.34, 17.01, 42.06, 56.10, 39.58),
    "CLIP L14": (28.07, 50.74, 61.97, 35.84, 15.03, 38.87, 52.93, 41.41),
    "CLIP B16 LAION": (30.11, 53.65, 64.60, 34.68, 16.23, 40.95, 55.07, 39.90),
    "CLIP CNXT-B": (43.54, 67.93, 77.06, 27.88, 31.28, 59.41, 71.60, 31.08),
    "CLIP CNXT-B AugReg": (45.50, 69.53, 78.43, 27.07, 34.17, 62.29, 73.87, 29.82),
    "SigLIP B16": (30.68, 52.73, 63.60, 34.96, 21.47, 47.60, 60.93, 36.69),
    "SigLIP L16": (31.68, 54.11, 64.97, 34.20, 21.24, 46.83, 60.19, 37.01),
    "StableDiffusion 2.1": (58.29, 76.28, 82.64, 24.68, 40.31, 67.18, 77.55, 27.86),
    "SAM B16": (46.37, 70.40, 78.98, 26.89, 36.66, 64.25, 75.36, 29.01),
    "SAM L16": (52.03, 74.61, 82.20, 24.87, 39.23, 66.87, 77.59, 27.66),
    "MiDaS L16": (49.58, 69.82, 77.17, 28.51, 39.94, 66.36, 76.66, 28.54),
}


def _published(first: int) -> tuple[Published, ...]:
    """Four numbers of each row of the table, from one of its columns on."""
    return tuple(
        Published(
            model=model,
            values=dict(
                zip(
                    _METRICS,
                    (*(each / 100 for each in row[first : first + 3]), row[first + 3]),
                    strict=True,
                )
            ),
            source=_PAPER,
        )
        for model, row in _TABLE.items()
    )


NYUV2_NORMALS = Benchmark(
    name="probe3d-nyuv2-normals",
    title="Probe3D on NYUv2 test: 654 images cut to 480x480, Ladický's normals",
    task=Task.NORMALS,
    dataset="nyuv2",
    split="test",
    variant="normals",
    input_crop=InputCrop.NYU_SQUARE,
    interpolation=Interpolation.BICUBIC_CORNERS,
    metrics=_METRICS,
    reproduces=(
        "Probe3D's released evaluation: the middle 480x480 pixels, shares and RMSE of the angle "
        "per image, averaged over images; predictions are resized bicubically, corners on corners; "
        "where the truth has no normal nothing is scored (the original counts 90 degrees there)"
    ),
    hides="the truth is a smoothed fit to a Kinect's depth, off by some 5 degrees on average",
    published=_published(0),
)

NAVI_NORMALS = Benchmark(
    name="probe3d-navi-normals",
    title="Probe3D on NAVI: objects in the wild, cropped, normals",
    task=Task.NORMALS,
    dataset="navi",
    split="probe3d-test",
    variant="normals-crop",
    interpolation=Interpolation.BICUBIC_CORNERS,
    metrics=_METRICS,
    reproduces=(
        "Probe3D's evaluation of every fourth image in the wild, a square around the object at "
        "512x512; shares and RMSE of the angle per image, averaged over images; predictions are "
        "resized bicubically, corners on corners"
    ),
    hides=(
        "published rows were scored on truth computed with the principal point in the corner of "
        "the crop, wrong by some 4 degrees on average; ours has it where it is, so the rows "
        "compare only roughly"
    ),
    published=_published(4),
)
