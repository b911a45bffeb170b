"""Whole datasets in the layouts of their authors, opened and read by their loaders."""

import gzip
import json
import pickle
from pathlib import Path

import numpy as np

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.pickled_arrays import read_gzip_pickle
from rilievo.training.distil.frames.shards import read_shard
from torture.reader import Reader, write_text
from torture.readers.pictures import colours, counts, metres, save

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


READERS = (
    Reader(
        name="dataset: TUM RGB-D",
        write=_tum,
        victims={"rgb.txt": "text", "depth.txt": "text", "groundtruth.txt": "text"}
        | {"depth/10.00.png": "png"},
        read=lambda folder: _read("tum", folder),
        share=0.7,
    ),
    Reader(
        name="dataset: KITTI raw",
        write=_kitti,
        victims={
            f"{_DATE}/calib_cam_to_cam.txt": "text",
            f"{_DATE}/calib_velo_to_cam.txt": "text",
            f"{_DATE}/{_DRIVE}/velodyne_points/data/0000000005.bin": "bytes",
            "list.txt": "text",
        },
        read=_read_kitti,
        share=0.7,
    ),
    Reader(
        name="dataset: ETH3D",
        write=_eth3d,
        victims={
            "pipes/dslr_calibration_jpg/cameras.txt": "text",
            "pipes/dslr_calibration_jpg/images.txt": "text",
            "pipes/ground_truth_depth/dslr_images/A.JPG": "bytes",
            "pipes/images/dslr_images/A.JPG": "jpeg",
        },
        read=lambda folder: _read("eth3d", folder),
        share=0.7,
    ),
    Reader(
        name="dataset: NAVI",
        write=_navi,
        victims={
            "chair/wild_set/annotations.json": "json",
            "chair/wild_set/depth/000.png": "png",
        },
        read=lambda folder: _read("navi", folder, "wild"),
        share=0.7,
    ),
    Reader(
        name="dataset: SUN RGB-D",
        write=_sunrgbd,
        victims={
            "SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat": "mat5",
            "SUNRGBD/kv1/NYUdata/NYU0001/intrinsics.txt": "text",
            "SUNRGBD/kv1/NYUdata/NYU0001/depth_bfx/a.png": "png",
        },
        read=lambda folder: _read("sunrgbd", folder, "test"),
        share=0.7,
    ),
    Reader(
        name="dataset: Middlebury",
        write=_middlebury,
        victims={"Piano/calib.txt": "text", "Piano/disp0.pfm": "text"},
        read=lambda folder: _read("middlebury", folder),
        share=0.7,
    ),
    Reader(
        name="dataset: DIODE",
        write=_diode,
        victims={f"{_DIODE}_depth.npy": "npy", f"{_DIODE}_depth_mask.npy": "npy"},
        read=lambda folder: _read("diode", folder),
        share=0.15,
    ),
    Reader(
        name="dataset: 7-Scenes",
        write=_seven_scenes,
        victims={
            "kitchen/TestSplit.txt": "text",
            "kitchen/seq-01/frame-000000.pose.txt": "text",
            "kitchen/seq-01/frame-000000.depth.png": "png",
        },
        read=lambda folder: _read("seven-scenes", folder, "test"),
        share=0.3,
    ),
    Reader(
        name="dataset: NYUv2",
        write=_nyu,
        victims={"nyu_depth_v2_labeled.mat": "hdf5"},
        read=lambda folder: _read("nyuv2", folder, "all"),
        share=0.4,
    ),
    Reader(
        name="pickle of arrays (NYUv2 normals)",
        write=_pickle,
        victims={"x.pkl.gz": "gzip-pickle"},
        read=lambda folder: read_gzip_pickle(folder / "x.pkl.gz"),
        share=0.7,
    ),
    Reader(
        name="shard of rendered frames",
        write=_shard,
        victims={"x.npz": "npz"},
        read=lambda folder: read_shard(folder / "x.npz"),
        share=0.5,
    ),
)
