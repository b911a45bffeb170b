"""Probe3D (El Banani et al. 2024): what features know of depth, read out by a trained probe.

Published rows are of the paper. The code released with it trains otherwise, and others who ran it
found lower numbers: DINOv2 B with 41.9 % (scale-aware) where the paper has 68.8 % on NAVI.
"""

from dataclasses import replace

from rilievo.alignment import AlignMethod
from rilievo.evaluate.benchmark import Benchmark, InputCrop, Interpolation, Published, Task
from rilievo.evaluate.benchmarks.blocks import AS_PREDICTED
from rilievo.types import DepthKind

_METRICS = ("delta1", "delta2", "delta3", "rmse")
_PAPER = "Probe3D, arXiv 2404.08636v1, Tables 2 and 3"

_ALIGNED = {
    DepthKind.METRIC: AlignMethod.SCALE_SHIFT,
    DepthKind.UP_TO_SCALE: AlignMethod.SCALE_SHIFT,
    DepthKind.AFFINE: AlignMethod.SCALE_SHIFT,
}
_SI_REPRODUCES = (
    "; scale and shift per image by least squares in depth (in float64: the original's float32 "
    "fits of nearly constant maps are noise), which may not turn near into far (the original "
    "allows that), with depth kept at 1e-9 m and above (the original does so for shares alone)"
)


def _rows(rows: dict[str, tuple[float, float, float, float]], source: str) -> tuple[Published, ...]:
    """Rows of a table: shares there in %."""
    return tuple(
        Published(
            model=model,
            values={"delta1": one / 100, "delta2": two / 100, "delta3": three / 100, "rmse": rmse},
            source=source,
        )
        for model, (one, two, three, rmse) in rows.items()
    )


NYUV2 = Benchmark(
    name="probe3d-nyuv2",
    title="Probe3D on NYUv2 test: 654 images cut to 480x480, raw depth to 10 m, scale-aware",
    dataset="nyuv2",
    split="test",
    variant="raw",
    input_crop=InputCrop.NYU_SQUARE,
    min_depth=0.0,
    # 10 m itself counts: the next number of single precision.
    max_depth=10.000001,
    alignment=AS_PREDICTED,
    interpolation=Interpolation.BILINEAR_CORNERS,
    metrics=_METRICS,
    reproduces=(
        "Probe3D's released evaluation: the middle 480x480 pixels, every pixel with raw depth up "
        "to 10 m, shares and RMSE per image, averaged over images"
    ),
    hides="no Eigen crop, so it does not compare with other NYUv2 tables; the truth is a Kinect's",
    published=_rows(
        {
            "MAE B16": (67.89, 91.43, 97.92, 0.6602),
            "MAE L16": (70.22, 92.50, 98.00, 0.6298),
            "FCMAE CNXTv2-B 22k": (82.73, 97.63, 99.67, 0.4860),
            "DINO B16": (80.44, 96.52, 99.26, 0.5071),
            "iBOT B16 1k": (83.87, 97.47, 99.51, 0.4635),
            "iBOT B16 22k": (85.04, 97.82, 99.55, 0.4452),
            "iBOT L16 1k": (85.14, 97.74, 99.56, 0.4451),
            "iBOT L16 22k": (91.08, 98.98, 99.79, 0.3670),
            "DINOv2 B14": (93.43, 99.41, 99.90, 0.3307),
            "DINOv2 L14": (94.84, 99.57, 99.93, 0.3086),
            "DINOv2+reg B14": (92.93, 99.37, 99.91, 0.3355),
            "DeiT3 B16": (86.89, 98.20, 99.73, 0.4240),
            "DeiT3 L16": (89.55, 98.75, 99.78, 0.3866),
            "ConvNeXt-B 22k": (80.15, 96.88, 99.46, 0.5105),
            "CLIP B16": (52.11, 81.70, 93.72, 0.9450),
            "CLIP L14": (51.73, 81.59, 93.85, 0.9445),
            "CLIP B16 LAION": (52.46, 82.15, 94.05, 0.9351),
            "CLIP CNXT-B": (78.10, 96.26, 99.33, 0.5285),
            "CLIP CNXT-B AugReg": (82.14, 97.24, 99.48, 0.4784),
            "SigLIP B16": (63.81, 89.72, 97.33, 0.7187),
            "SigLIP L16": (65.26, 90.53, 97.78, 0.6931),
            "StableDiffusion 2.1": (82.60, 97.05, 99.48, 0.4801),
            "SAM B16": (75.60, 95.00, 98.94, 0.5665),
            "SAM L16": (81.57, 97.12, 99.49, 0.4905),
            "MiDaS L16": (78.65, 96.05, 98.99, 0.5300),
        },
        _PAPER,
    ),
)

NYUV2_SI = replace(
    NYUV2,
    name="probe3d-nyuv2-si",
    title="Probe3D on NYUv2 test: 654 images cut to 480x480, raw depth to 10 m, scale-invariant",
    alignment=_ALIGNED,
    least_depth=1e-9,
    reproduces=NYUV2.reproduces + _SI_REPRODUCES,
    hides=NYUV2.hides + "; scale and shift of every image are taken from its truth",
    published=(),
)

NAVI = Benchmark(
    name="probe3d-navi",
    title="Probe3D on NAVI: objects in the wild, cropped, relative depth, scale-aware",
    dataset="navi",
    split="probe3d-test",
    variant="relative-crop",
    min_depth=0.0,
    alignment=AS_PREDICTED,
    interpolation=Interpolation.BILINEAR_CORNERS,
    metrics=_METRICS,
    reproduces=(
        "Probe3D's evaluation of relative depth: every fourth image in the wild, a square around "
        "the object at 512x512, depth of each image stretched to 0.01 to 1 before; shares and RMSE "
        "per image, averaged over images"
    ),
    hides=(
        "depth is stretched by each image's own least and largest, so it is no length, though "
        "'metric' is the kind to give it; the background has no truth"
    ),
    published=_rows(
        {
            "MAE B16": (36.28, 63.44, 79.72, 0.1568),
            "MAE L16": (35.21, 62.60, 79.41, 0.1588),
            "FCMAE CNXTv2-B 22k": (48.61, 76.15, 88.44, 0.1205),
            "DINO B16": (56.62, 81.26, 91.01, 0.1043),
            "iBOT B16 1k": (57.11, 82.00, 91.49, 0.1025),
            "iBOT B16 22k": (55.75, 81.06, 91.14, 0.1044),
            "iBOT L16 1k": (62.56, 85.27, 93.19, 0.0919),
            "iBOT L16 22k": (66.29, 87.31, 94.27, 0.0833),
            "DINOv2 B14": (68.84, 89.13, 95.31, 0.0763),
            "DINOv2 L14": (71.42, 90.34, 95.91, 0.0721),
            "DINOv2+reg B14": (66.56, 87.94, 94.74, 0.0806),
            "DeiT3 B16": (59.74, 83.78, 92.61, 0.0960),
            "DeiT3 L16": (64.93, 86.79, 93.98, 0.0855),
            "ConvNeXt-B 22k": (43.63, 71.60, 85.49, 0.1342),
            "CLIP B16": (24.95, 48.73, 68.52, 0.1993),
            "CLIP L14": (23.97, 46.71, 66.34, 0.2058),
            "CLIP B16 LAION": (24.33, 47.43, 67.31, 0.2031),
            "CLIP CNXT-B": (45.24, 73.35, 86.68, 0.1286),
            "CLIP CNXT-B AugReg": (48.22, 75.85, 88.09, 0.1211),
            "SigLIP B16": (36.49, 63.07, 79.20, 0.1571),
            "SigLIP L16": (35.94, 62.43, 78.78, 0.1588),
            "StableDiffusion 2.1": (51.86, 78.68, 89.77, 0.1094),
            "SAM B16": (49.28, 76.36, 88.40, 0.1206),
            "SAM L16": (52.45, 79.17, 90.25, 0.1105),
            "MiDaS L16": (58.53, 82.58, 91.60, 0.1001),
        },
        _PAPER,
    )
    + _rows(
        {
            "DINOv2 B, released code": (41.87, 69.63, 84.90, 0.1280),
            "DINOv2 L, released code": (45.37, 72.97, 86.54, 0.1213),
            "RADIO v2, released code": (48.94, 76.31, 88.94, 0.1117),
        },
        "probe3d, pull request 4: the released code, run by RADIO's authors",
    ),
)

NAVI_SI = replace(
    NAVI,
    name="probe3d-navi-si",
    title="Probe3D on NAVI: objects in the wild, cropped, relative depth, scale-invariant",
    alignment=_ALIGNED,
    least_depth=1e-9,
    reproduces=NAVI.reproduces + _SI_REPRODUCES,
    hides=NAVI.hides + "; scale and shift of every image are taken from its truth",
    published=_rows(
        {
            "DINOv2 B, released code": (59.87, 83.22, 91.59, 0.0948),
            "DINOv2 L, released code": (63.02, 84.99, 92.42, 0.0887),
            "RADIO v2, released code": (63.91, 85.80, 93.09, 0.0859),
        },
        "probe3d, pull request 4: the released code, run by RADIO's authors",
    ),
)


_NORMALS_METRICS = ("within_11_25", "within_22_5", "within_30", "rmse")


# The paper's tables for NYUv2 and, behind them, NAVI: shares [%] and RMSE [degrees].
_NORMALS_TABLE = {
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


def _published_normals(first: int) -> tuple[Published, ...]:
    """Four numbers of each row of the table, from one of its columns on."""
    return tuple(
        Published(
            model=model,
            values=dict(
                zip(
                    _NORMALS_METRICS,
                    (*(each / 100 for each in row[first : first + 3]), row[first + 3]),
                    strict=True,
                )
            ),
            source=_PAPER,
        )
        for model, row in _NORMALS_TABLE.items()
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
    metrics=_NORMALS_METRICS,
    reproduces=(
        "Probe3D's released evaluation: the middle 480x480 pixels, shares and RMSE of the angle "
        "per image, averaged over images; predictions are resized bicubically, corners on corners; "
        "where the truth has no normal nothing is scored (the original counts 90 degrees there)"
    ),
    hides="the truth is a smoothed fit to a Kinect's depth, off by some 5 degrees on average",
    published=_published_normals(0),
)

NAVI_NORMALS = Benchmark(
    name="probe3d-navi-normals",
    title="Probe3D on NAVI: objects in the wild, cropped, normals",
    task=Task.NORMALS,
    dataset="navi",
    split="probe3d-test",
    variant="normals-crop",
    interpolation=Interpolation.BICUBIC_CORNERS,
    metrics=_NORMALS_METRICS,
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
    published=_published_normals(4),
)
