"""Card of NYU Depth V2."""

from rilievo.datasets.card import DatasetCard

CARD = DatasetCard(
    name="nyuv2",
    title="NYU Depth V2 (Silberman, Hoiem, Kohli and Fergus 2012)",
    summary="464 indoor scenes by a Kinect v1, 0.7 to 10 m; 1449 labelled images are the benchmark",
    homepage="https://cs.nyu.edu/~fergus/datasets/nyu_depth_v2.html",
    licence="none stated; by convention for research",
    commercial=False,
    gigabytes=2.8,
    layout="""\
One of these, as the folder or the .mat itself:
nyu_depth_v2_labeled.mat     images, rawDepths (0 = hole) and depths (filled) [m]: the benchmark
  splits.mat                 beside it, if at hand: the official split (else ours, the same)
  all_normals.pklz           beside it: Ladicky's normals (or surfacenormal_metadata/)
  norm_gt_l.mat, masks.mat   beside it: GeoNet's evaluation normals (or gt/)
test|train/SCENE/            the "sync" export: rgb_NNNNN.jpg with sync_depth_NNNNN.png
                             (16 bits, mm, raw depth); scenes alone or rgb/ and depth/ too
rgb/NNNN.jpg, depth/NNNN.png the labelled images by number; 16 bits: mm; 8 bits: (v + 0.5) / 25.5 m
  train.txt, test.txt        beside them: numbers, where names do not tell
test/NNNNNN_img.png          the evaluation files of DSINE: with NNNNNN_normal.png (or .exr) and
                             NNNNNN_intrins.npy
*.mat                        GeoNet's training files: img, depth, norm
SCENE/r-*.ppm, d-*.pgm       raw recordings (also X_color.ppm with X_depth.pgm)""",
    splits=("test", "train", "all"),
    counts={"test": 654, "train": 795, "all": 1449},
    variants=("raw", "filled", "normals", "depth_normals", "unregistered"),
    normals=(
        "variant 'normals': Ladicky et al. (2014), from all_normals.pklz, norm_gt_l.mat, or the "
        "evaluation files of DSINE; GeoNet's training files. Variant 'depth_normals': plane fits "
        "over 15 x 15 pixels of the depth"
    ),
    extra="evaluate",
    caveats=(
        "ids are the labelled index from 0 (0000 to 1448); the .mat counts from 1",
        "raw depth has no truth at some 24 % of the pixels; filled depth is an in-painting, and "
        "errors against it are lower and mean less",
        "the frame of the pictures is white or black: the Eigen crop leaves it out",
        "Kinect depth is quantised: 3 mm at 1 m, 7 cm at 5 m",
        "the 8-bit copy is in-painted, in steps of 3.9 cm: not the official benchmark",
        "Ladicky's normals are smoothed fits; no model is asked for detail by them. Their frame is "
        "not documented by their authors: taken as that of GeoNet, and checked to face the camera",
        "all_normals.pklz is unpacked whole, once in a process, and takes 5 or 11 GB of memory by "
        "its type of numbers; the same normals as norm_gt_l.mat are read one at a time",
        "raw recordings are not registered: their depth has other pixels than the photograph",
    ),
)
