"""Whole datasets in the layouts of their authors, opened and read by their loaders."""

import gzip
import json
import pickle
from pathlib import Path

import numpy as np
from PIL.PngImagePlugin import PngInfo

from lab.making.distil.frames.shards import read_shard
from lab.torture.reader import row, write_text
from lab.torture.readers.pictures import colours, counts, metres, save
from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.pickled_arrays import read_gzip_pickle, read_pickle
from rilievo.data.datasets.sets.moge_bundle import (
    read_intrinsics,
    read_log_depth,
    read_segmentation,
)

_DATE, _DRIVE = "2011_09_26", "2011_09_26_drive_0002_sync"


def _read(name: str, folder: Path, split: str | None = None) -> object:
    dataset = open_dataset(name, folder, split=split)
    return [dataset.sample(id) for id in dataset.ids[:2]], dataset.absent


def _tum(folder: Path) -> None:
    for kind in ("rgb", "depth"):
        lines = [f"{time} {kind}/{time}.png\n" for time in ("10.00", "10.03")]
        write_text(folder / f"{kind}.txt", "# freiburg2_desk\n" + "".join(lines))
    for time in ("10.00", "10.03"):
        save(folder / "rgb" / f"{time}.png", colours())
        save(folder / "depth" / f"{time}.png", counts())
    write_text(folder / "groundtruth.txt", "10.001 1 2 3 0 0 0 1\n10.031 4 5 6 0 0 0 1\n")


def _kitti(folder: Path) -> None:
    drive = folder / _DATE / _DRIVE
    save(drive / "image_02" / "data" / "0000000005.png", colours())
    scan = drive / "velodyne_points" / "data" / "0000000005.bin"
    scan.parent.mkdir(parents=True)
    points = np.random.default_rng(0).uniform(1, 20, (100, 4)).astype("<f4")
    scan.write_bytes(points.tobytes())
    camera = "R_rect_00: 1 0 0 0 1 0 0 0 1\nS_rect_02: 48 36\n"
    camera += "P_rect_02: 50 0 24 0 0 50 18 0 0 0 1 0\n"
    write_text(folder / _DATE / "calib_cam_to_cam.txt", camera)
    write_text(folder / _DATE / "calib_velo_to_cam.txt", "R: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 -0.25\n")
    write_text(folder / "list.txt", f"{_DATE}/{_DRIVE} 0000000005 l\n")


def _read_kitti(folder: Path) -> object:
    dataset = open_dataset("kitti-raw", folder, split="eigen", list_file=folder / "list.txt")
    return [dataset.sample(id) for id in dataset.ids], dataset.absent


def _eth3d(folder: Path) -> None:
    scene = folder / "pipes"
    save(scene / "images" / "dslr_images" / "A.JPG", colours(), quality=90)
    depth = scene / "ground_truth_depth" / "dslr_images" / "A.JPG"
    depth.parent.mkdir(parents=True)
    depth.write_bytes(metres().astype("<f4").tobytes())
    calibration = scene / "dslr_calibration_jpg"
    write_text(calibration / "cameras.txt", "# cameras\n0 PINHOLE 48 36 30 31 24 18\n")
    write_text(calibration / "images.txt", "# images\n1 1 0 0 0 0 0 5 0 dslr_images/A.JPG\n\n")


def _navi(folder: Path) -> None:
    scene = folder / "chair" / "wild_set"
    disparity = np.zeros((36, 48), np.uint16)
    disparity[10:25, 12:30] = 900
    save(scene / "images" / "000.jpg", colours(), quality=90)
    save(scene / "depth" / "000.png", disparity)
    camera = {"q": [1, 0, 0, 0], "t": [0, 0, 500], "focal_length": 90.5, "camera_model": "p"}
    entry = {"object_id": "chair", "camera": camera, "filename": "000.jpg", "image_size": [36, 48]}
    entry |= {"scene_name": "wild_set", "split": "train", "occluded": False}
    write_text(scene / "annotations.json", json.dumps([entry]))


def _sunrgbd(folder: Path) -> None:
    import scipy.io

    frame = folder / "SUNRGBD" / "kv1" / "NYUdata" / "NYU0001"
    save(frame / "image" / "a.jpg", colours(), quality=90)
    for name in ("depth", "depth_bfx"):
        save(frame / name / "a.png", counts() << 3)
    write_text(frame / "intrinsics.txt", "520 0 24\n0 521 18\n0 0 1\n")
    cell = np.empty((1, 1), object)
    cell[0, 0] = "/n/fs/sun3d/data/SUNRGBD/kv1/NYUdata/NYU0001"
    toolbox = folder / "SUNRGBDtoolbox" / "traintestSUNRGBD"
    toolbox.mkdir(parents=True)
    scipy.io.savemat(toolbox / "allsplit.mat", {"alltest": cell, "alltrain": cell})


def _middlebury(folder: Path) -> None:
    scene = folder / "Piano"
    save(scene / "im0.png", colours())
    (scene / "disp0.pfm").write_bytes(b"Pf\n48 36\n-1.0\n" + (metres() * 40).tobytes())
    calibration = "cam0=[3979.9 0 24; 0 3979.9 18; 0 0 1]\ncam1=[3979.9 0 24; 0 3979.9 18; 0 0 1]\n"
    calibration += "doffs=124.3\nbaseline=193.0\nwidth=48\nheight=36\nndisp=280\n"
    write_text(scene / "calib.txt", calibration)


def _diode(folder: Path) -> None:
    stem = folder / "val" / "indoors" / "scene_00019" / "scan_00183" / "00019_00183_indoors_000_010"
    save(stem.with_name(stem.name + ".png"), colours(0, (768, 1024)), compress_level=1)
    np.save(stem.with_name(stem.name + "_depth.npy"), metres((768, 1024))[..., None])
    np.save(stem.with_name(stem.name + "_depth_mask.npy"), np.ones((768, 1024), np.float32))


_DIODE = "val/indoors/scene_00019/scan_00183/00019_00183_indoors_000_010"


def _seven_scenes(folder: Path) -> None:
    stem = folder / "kitchen" / "seq-01" / "frame-000000"
    save(stem.with_name(f"{stem.name}.color.png"), colours(0, (480, 640)), compress_level=1)
    save(stem.with_name(f"{stem.name}.depth.png"), counts((480, 640)), compress_level=1)
    write_text(stem.with_name(f"{stem.name}.pose.txt"), "0 -1 0 1\n1 0 0 2\n0 0 1 3\n0 0 0 1\n")
    for split in ("TestSplit", "TrainSplit"):
        write_text(folder / "kitchen" / f"{split}.txt", "sequence1\n")


def _nyu(folder: Path) -> None:
    import h5py

    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        for name, shape, kind in (
            ("images", (2, 3, 640, 480), "u1"),
            ("depths", (2, 640, 480), "f4"),
            ("rawDepths", (2, 640, 480), "f4"),
        ):
            stored = np.full(shape, 2, kind)
            chunk = (1, *shape[1:])
            file.create_dataset(name, data=stored, chunks=chunk, compression="gzip")
    with (folder / "nyu_depth_v2_labeled.mat").open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))


def _pickle(folder: Path) -> None:
    held = {"normals": metres(), "names": ["a", "b"], 3: (1.5, None)}
    (folder / "x.pkl.gz").write_bytes(gzip.compress(pickle.dumps(held, 2)))


def _shard(folder: Path) -> None:
    np.savez(
        folder / "x.npz",
        image=colours()[None],
        log_depth=np.log(metres()).astype(np.float16)[None],
        normals=np.zeros((1, 3, 36, 48), np.int8),
        focal=np.array([50], np.float32),
    )


def _da2k(folder: Path) -> None:
    save(folder / "images" / "indoor" / "a.jpg", colours(), quality=90)
    pairs = [{"point1": [4, 10], "point2": [6, 30], "closer_point": "point1"}]
    write_text(folder / "annotations.json", json.dumps({"images/indoor/a.jpg": pairs}))
    write_text(folder / "list.txt", "images/indoor/a\n")


def _ibims(folder: Path) -> None:
    place = folder / "ibims1_core_raw"
    for kind in ("rgb", "depth", "mask_invalid", "mask_transp"):
        pixels = {"rgb": colours(), "depth": counts()}.get(kind, np.full((36, 48), 255, np.uint8))
        save(place / kind / "corridor_01.png", pixels)
    write_text(place / "calib" / "corridor_01.txt", "52.5,52.5,23.25,17.75\n")
    write_text(folder / "imagelist.txt", "corridor_01\n")


def _marigold(folder: Path) -> None:
    save(folder / "scene0011_00" / "color" / "0.jpg", colours(), quality=90)
    save(folder / "scene0011_00" / "depth" / "0.png", counts())
    words = "scene0011_00/color/0.jpg scene0011_00/depth/0.png\n"
    write_text(folder / "list.txt", words)


def _moge(folder: Path) -> None:
    place = folder / "ETH3D" / "room0" / "0000"
    save(place / "image.jpg", colours(), quality=95)
    for name, pixels, texts in (
        ("depth", counts(), {"near": "0.5", "far": "8.5"}),
        ("segmentation", colours()[..., 0] // 64, {"labels": json.dumps({"wall": 1, "sky": 2})}),
    ):
        info = PngInfo()
        for key, text in texts.items():
            info.add_text(key, text)
        save(place / f"{name}.png", pixels, pnginfo=info)
    K = [[0.9, 0, 0.5], [0, 1.2, 0.5], [0, 0, 1]]
    write_text(place / "meta.json", json.dumps({"intrinsics": K}))
    write_text(folder / "ETH3D" / ".index.txt", "room0/0000\n")


def _read_moge(folder: Path) -> object:
    """The files of a photograph; warping it to the size of its set takes seconds."""
    place = folder / "ETH3D" / "room0" / "0000"
    ids = open_dataset("moge-bundle", folder, split="ETH3D").ids
    K, depth = read_intrinsics(place / "meta.json"), read_log_depth(place / "depth.png")
    return ids, K, depth, read_segmentation(place / "segmentation.png")


def _sintel(folder: Path) -> None:
    complete, depths = (
        folder / f"MPI-Sintel-{kind}" / "training" for kind in ("complete", "depth-training")
    )
    tag, size = np.float32(202021.25).tobytes(), np.array([48, 36], np.int32).tobytes()
    K = np.array([[70.0, 0, 23.5], [0, 71.0, 17.5], [0, 0, 1]])
    pose = np.eye(4)[:3]
    for number in (1, 2):
        name = f"alley_1/frame_{number:04}"
        save(complete / "clean" / f"{name}.png", colours(number))
        for kind, suffix, content in (
            ("depth", "dpt", tag + size + metres().astype("<f4").tobytes()),
            ("camdata_left", "cam", tag + K.tobytes() + pose.tobytes()),
        ):
            path = depths / kind / f"{name}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def _scannet(folder: Path) -> None:
    scene = folder / "scans_test" / "scene0707_00"
    save(scene / "color" / "0.jpg", colours(), quality=95)
    save(scene / "depth" / "0.png", counts())
    write_text(scene / "pose" / "0.txt", "1 0 0 0\n0 1 0 0\n0 0 1 2\n0 0 0 1\n")
    K = "60 0 24 0\n0 61 18 0\n0 0 1 0\n0 0 0 1\n"
    write_text(scene / "intrinsic" / "intrinsic_depth.txt", K)


def _wildcross(folder: Path) -> None:
    for number in range(2):
        save(folder / "V-01" / "images" / f"{number}.png", colours(number), compress_level=1)
        save(folder / "V-01" / "depth" / f"{number}.png", counts())


def _scannet_pairs(folder: Path) -> None:
    scan = folder / "scene0707_00"
    for frame in (0, 15):
        save(scan / "color" / f"{frame}.jpg", colours(frame, (480, 640)), quality=90)
        save(scan / "depth" / f"{frame}.png", counts((480, 640)), compress_level=1)
        write_text(scan / "pose" / f"{frame}.txt", "1 0 0 0\n0 1 0 0\n0 0 1 2\n0 0 0 1\n")
    np.savez(folder / "test.npz", name=np.array([[707, 0, 0, 15]]))
    np.savez(folder / "intrinsics.npz", scene0707_00=np.diag([577.0, 578, 1]))


def _read_pairs(folder: Path) -> object:
    dataset = open_dataset("scannet-pairs", folder)
    return [dataset.sample(id) for id in dataset.ids], dataset.view_pairs()


def _extracted(folder: Path) -> None:
    scene = folder / "scans_test" / "scene0707_00"
    save(scene / "color" / "0.jpg", colours(), quality=95)
    save(scene / "depth" / "0.png", counts((36 + 16, 48 + 22)))  # the authors cut its margins
    names = (f"scans_test/scene0707_00/{each}" for each in ("color/0.jpg", "depth/0.png"))
    frame = dict(zip(("image", "gt_depth"), names, strict=True), factor=1000)
    write_text(folder / "scannet_video.json", json.dumps({"scannet": [{"one": [frame]}]}))


def _nyu_folders(folder: Path) -> None:
    for number in (1, 2):
        save(folder / "image" / f"{number:04}.png", colours(number, (480, 640)), compress_level=1)
        save(folder / "depth" / f"{number:04}.png", counts((480, 640)), compress_level=1)
    write_text(folder / "list.txt", "0001\n0002\n")


def _read_videos(folder: Path, split: str) -> object:
    return _read("vda-videos", folder, split)


def _listed(name: str, folder: Path) -> object:
    dataset = open_dataset(name, folder, list_file=folder / "list.txt")
    return [dataset.truth(id) for id in dataset.ids[:1]], dataset.absent


READERS = (
    row("dataset: DA-2K", _da2k, "annotations.json", lambda folder: _read("da2k", folder), 0.7),
    row(
        "dataset: iBims-1",
        _ibims,
        "imagelist.txt ibims1_core_raw/calib/corridor_01.txt",
        lambda folder: _read("ibims", folder),
        0.5,
    ),
    row(
        "dataset: ScanNet of Marigold",
        _marigold,
        "list.txt",
        lambda folder: _listed("marigold-scannet", folder),
        0.4,
    ),
    row(
        "dataset: MoGe's bundle",
        _moge,
        "*/.index.txt */meta.json */depth.png */segmentation.png",
        _read_moge,
    ),
    row(
        "videos: Sintel",
        _sintel,
        "*/frame_0001.dpt:lengths */frame_0001.cam",
        lambda folder: _read_videos(folder, "sintel"),
        0.5,
    ),
    row(
        "dataset: ScanNet's pairs of views",
        _scannet_pairs,
        "test.npz intrinsics.npz */pose/0.txt */depth/15.png",
        _read_pairs,
        0.4,
    ),
    row(
        "dataset: WildCross",
        _wildcross,
        "V-01/depth/0.png",
        lambda folder: _read("wildcross", folder, "all"),
        0.4,
    ),
    row(
        "videos: ScanNet",
        _scannet,
        "*/pose/0.txt */intrinsic_depth.txt",
        lambda folder: _read_videos(folder, "scannet"),
        0.5,
    ),
    row(
        "videos: list of the authors",
        _extracted,
        "scannet_video.json",
        lambda folder: _read_videos(folder, "scannet"),
        0.5,
    ),
    row(
        "dataset: list of photographs",
        _da2k,
        "list.txt",
        lambda folder: _listed("da2k", folder),
        0.4,
    ),
    row(
        "dataset: list of NYUv2's folders",
        _nyu_folders,
        "list.txt",
        lambda folder: _listed("nyuv2", folder),
        0.4,
    ),
    row(
        "pickle of arrays (DSINE)",
        lambda folder: (folder / "x.pkl").write_bytes(
            pickle.dumps({"normals": metres(), "names": ["a", "b"], 3: (1.5, None)}, 2)
        ),
        "x.pkl",
        lambda folder: read_pickle(folder / "x.pkl"),
        0.4,
    ),
    row(
        "dataset: TUM RGB-D",
        _tum,
        {"rgb.txt": "text", "depth.txt": "text", "groundtruth.txt": "text"}
        | {"depth/10.00.png": "png"},
        lambda folder: _read("tum", folder),
        0.7,
    ),
    row(
        "dataset: KITTI raw",
        _kitti,
        "*/calib_cam_to_cam.txt */calib_velo_to_cam.txt */0000000005.bin list.txt",
        _read_kitti,
        0.7,
    ),
    row(
        "dataset: ETH3D",
        _eth3d,
        "*/cameras.txt */images.txt */ground_truth_depth/*.JPG:bytes */images/*.JPG:jpeg",
        lambda folder: _read("eth3d", folder),
        0.7,
    ),
    row(
        "dataset: NAVI",
        _navi,
        "chair/wild_set/annotations.json chair/wild_set/depth/000.png",
        lambda folder: _read("navi", folder, "wild"),
        0.7,
    ),
    row(
        "dataset: SUN RGB-D",
        _sunrgbd,
        "*/allsplit.mat */intrinsics.txt */depth_bfx/a.png",
        lambda folder: _read("sunrgbd", folder, "test"),
        0.7,
    ),
    row(
        "dataset: Middlebury",
        _middlebury,
        "Piano/calib.txt Piano/disp0.pfm",
        lambda folder: _read("middlebury", folder),
        0.7,
    ),
    row(
        "dataset: DIODE",
        _diode,
        f"{_DIODE}_depth.npy {_DIODE}_depth_mask.npy",
        lambda folder: _read("diode", folder),
        0.15,
    ),
    row(
        "dataset: 7-Scenes",
        _seven_scenes,
        "*/TestSplit.txt */frame-000000.pose.txt */frame-000000.depth.png",
        lambda folder: _read("seven-scenes", folder, "test"),
        0.3,
    ),
    row(
        "dataset: NYUv2",
        _nyu,
        "nyu_depth_v2_labeled.mat:hdf5",
        lambda folder: _read("nyuv2", folder, "all"),
        0.4,
    ),
    row(
        "pickle of arrays (NYUv2 normals)",
        _pickle,
        "x.pkl.gz",
        lambda folder: read_gzip_pickle(folder / "x.pkl.gz"),
        0.7,
    ),
    row(
        "shard of rendered frames",
        _shard,
        "x.npz",
        lambda folder: read_shard(folder / "x.npz"),
        0.5,
    ),
)
