"""iBims-1, DIODE, SUN RGB-D and DA-2K: sets that are scored as they are published."""

from rilievo.evaluate.benchmark import Averaging, Benchmark, Published, Task
from rilievo.evaluate.benchmarks.blocks import ALIGNED_HIDES, NEEDED, PIXEL_METRICS

IBIMS = Benchmark(
    name="ibims",
    title="iBims-1, 100 indoor images, laser depth to 50 m, no crop",
    dataset="ibims",
    min_depth=0.0,
    alignment=NEEDED,
    metrics=PIXEL_METRICS,
    reproduces=(
        "the authors' masks (invalid and transparent pixels do not count), no cap and no crop; "
        "ZoeDepth caps at 10 m inside NYUv2's Eigen crop, which gives other numbers"
    ),
    hides=f"few images, so wide intervals; truth far beyond indoor sensors' reach; {ALIGNED_HIDES}",
    published=(
        Published(
            model="ZoeDepth (NK)",
            values={"delta1": 0.580},
            source="README of UniDepth; capped and cropped",
        ),
        Published(model="UniDepth V2", values={"delta1": 0.945}, source="README of UniDepth"),
        Published(model="Depth Pro", values={"delta1": 0.823}, source="README of UniDepth"),
    ),
)

DIODE = Benchmark(
    name="diode",
    title="DIODE validation, 325 indoor and 446 outdoor images, laser depth to 50 m",
    dataset="diode",
    max_depth=50.0,
    alignment=NEEDED,
    clip=(1e-3, 50.0),
    metrics=PIXEL_METRICS,
    parts=("indoors", "outdoor"),
    reproduces=(
        "evaluations that cap at 50 m and average over all 771 images; marigold-diode reaches to "
        "350 m and fits scale and shift"
    ),
    hides=(
        "the laser and the camera did not see the same at edges and through foliage, and the "
        "mask leaves much of that in; indoors and outdoors are averaged together, and given apart "
        "beside; "
        f"{ALIGNED_HIDES}"
    ),
    published=(
        Published(
            model="Depth Anything V2 L",
            values={"abs_rel": 0.066},
            source="paper, Table 2; others could not repeat it and found 0.21",
        ),
    ),
)

SUNRGBD = Benchmark(
    name="sunrgbd",
    title="SUN RGB-D test, 5,050 images of four sensors, filled depth, 8 m at most, no crop",
    dataset="sunrgbd",
    split="test",
    variant="bfx",
    max_depth=10.0,
    truth_ceiling=8.0,
    alignment=NEEDED,
    metrics=PIXEL_METRICS,
    reproduces=(
        "Depth Pro's evaluation: all 5,050 test images, depth strictly between 1 mm and 10 m, "
        "what lies beyond 8 m set to 8 m first, as the dataset's toolbox reads it, no crop, no "
        "alignment of metric depth; ZoeDepth crops and drops what lies beyond 8 m, "
        "UniDepth scores 5 mm to 8 m without the images of NYUv2: other numbers"
    ),
    hides=(
        "truth was filled in from neighbouring frames; the sensors end between 4 and 8 m; part of "
        f"the images are NYUv2's, which many models were trained on; {ALIGNED_HIDES}"
    ),
    published=(
        Published(
            model="Depth Pro",
            values={"delta1": 0.890},
            source="paper; with the camera's focal length given; repeated by others: 0.868",
        ),
        Published(
            model="UniDepth V1",
            values={"delta1": 0.943},
            source="README of UniDepth; 5 mm to 8 m, without NYUv2's images",
        ),
        Published(
            model="UniDepth V2",
            values={"delta1": 0.964},
            source="README of UniDepth; 5 mm to 8 m, without NYUv2's images",
        ),
        Published(
            model="ZoeDepth (NK)",
            values={"delta1": 0.867},
            source="README of UniDepth; Eigen crop, to 8 m",
        ),
    ),
)

_ARTICLE = "FiftyOne's tutorial 'Monocular Depth Estimation', first 20 scenes it finds"

SUNRGBD_ARTICLE = Benchmark(
    name="sunrgbd-article",
    title="SUN RGB-D as in FiftyOne's tutorial: 8-bit pictures, each scaled by its own maximum",
    task=Task.PICTURE,
    dataset="sunrgbd",
    split="all",
    variant="bfx",
    metrics=("rmse", "psnr", "ssim"),
    reproduces=(
        "FiftyOne's tutorial 'Monocular Depth Estimation' (SUN RGB-D, first 20 scenes: --limit 20 "
        "with SUNRGBD/kv1/NYUdata as root). Truth: stored depth times 255 over its maximum, "
        "fractions cut off; pixels without truth are 0 and count. Depth: likewise by its own "
        "maximum. Inverse depth (DPT): 255 minus 255 times it over its maximum, fractions cut off, "
        "so that large is far. Then scikit-image's RMSE, PSNR and SSIM of the two pictures, "
        "data_range 255, averaged over images. The tutorial scales the stored integers before "
        "their bits are rotated back, which is the same where nothing is beyond 8.19 m"
    ),
    hides=(
        "nearly everything: pictures scaled by their own maxima are no depth (one far pixel "
        "darkens all others), 255 minus inverse depth is not depth but a bent form of it, holes in "
        "the truth count as depth 0, and PSNR and SSIM judge looks. Its Marigold row was turned "
        "from far to near before it was scored, which is why it is so low. Which scenes come first "
        "depends on the order of the author's file system; here they are sorted"
    ),
    published=(
        Published(
            model="DPT hybrid (dpt-hybrid-midas)",
            values={"rmse": 49.89, "psnr": 14.81, "ssim": 0.840},
            source=_ARTICLE,
        ),
        Published(
            model="Marigold (through Replicate)",
            values={"rmse": 104.0, "psnr": 7.93, "ssim": 0.428},
            source=_ARTICLE + "; large was near in its predictions",
        ),
    ),
)

DA2K = Benchmark(
    name="da2k",
    title="DA-2K, 2,000 pairs of points in 1,000 photographs, which one is nearer",
    task=Task.ORDER,
    dataset="da2k",
    split="all",
    averaging=Averaging.POOLED,
    metrics=("in_order",),
    reproduces=(
        "the accuracy of Depth Anything V2's paper, over all pairs of all photographs. Its authors "
        "released the pairs and no program: here a prediction is resized bilinearly to the "
        "photograph and read at the two pixels, and equal numbers are wrong"
    ),
    hides=(
        "everything but the order of two points, which people picked because they were sure of it; "
        "the eight scenarios weigh by their pairs (--split indoor and so on scores one)"
    ),
)
