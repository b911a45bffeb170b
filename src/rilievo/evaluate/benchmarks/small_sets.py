"""iBims-1, DIODE, SUN RGB-D and DA-2K: sets that are scored as they are published."""

from rilievo.evaluate.benchmark import Averaging, Benchmark, Task
from rilievo.evaluate.benchmarks.blocks import ALIGNED_HIDES, NEEDED, NORMALS_METRICS, PIXEL_METRICS

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
)

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


_DSINE = (
    "DSINE's evaluation: the angles of all pixels of all images of its zip in one list, of which "
    "mean, median, root mean square and shares below thresholds are taken"
)


def _dsine(split: str, title: str, hides: str) -> Benchmark:
    return Benchmark(
        name=f"dsine-{split}",
        title=f"{title}, normals, pixels of all images pooled",
        task=Task.NORMALS,
        dataset="dsine",
        split=split,
        averaging=Averaging.POOLED,
        metrics=NORMALS_METRICS,
        reproduces=_DSINE,
        hides=f"{hides}; pooled, images with more truth weigh more",
    )


DSINE_SCANNET = _dsine(
    "scannet",
    "ScanNet test as FrameNet chose it",
    "the truth is made of reconstructed surfaces, smooth where scans were few",
)
DSINE_IBIMS = _dsine(
    "ibims", "iBims-1", "the truth is fitted to laser depth by DSINE's authors; a hundred images"
)
DSINE_SINTEL = _dsine(
    "sintel", "Sintel", "an animated film; the truth is fitted to depth by DSINE's authors"
)
DSINE_OASIS = _dsine(
    "oasis", "OASIS validation", "people estimated these normals, of one part of each picture"
)
DSINE_NYUV2 = _dsine(
    "nyuv2", "NYUv2 test, 654 images", "the truth is a fit to noisy Kinect depth, off by some 5°"
)
