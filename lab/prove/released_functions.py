"""Functions of a released program, called on given maps; run by the program's own Python.

    python released_functions.py REQUEST.json ANSWER.json

It stands alone: of ours nothing is imported, and numpy is all that it asks of the environment
besides what the program itself imports.
"""

import importlib
import json
import os
import sys


def main(request_file, answer_file):
    """Call the functions on each case, and write their numbers by our names of metrics."""
    with open(request_file, encoding="utf-8") as file:
        request = json.load(file)
    sys.path.insert(0, request["folder"])
    import numpy as np

    functions = {}
    for place in request["functions"]:
        module, name = place.split(":")
        if request["cut"]:
            functions[name] = cut(request["folder"], module, name, functions)
        else:
            functions[name] = getattr(importlib.import_module(module), name)
    cases = []
    for path in request["cases"]:
        with np.load(path) as arrays:
            cases.append({name: arrays[name] for name in arrays.files})
    name, arguments = request["program"], request["arguments"]
    if name in BATCHES:
        results = [BATCHES[name](functions, cases, arguments)]
    else:
        results = [CALLS[name](functions, case, arguments) for case in cases]
    answers = [{name: float(number) for name, number in result.items()} for result in results]
    with open(answer_file, "w", encoding="utf-8") as file:
        json.dump(answers, file)


def cut(folder, module, name, others):
    """Run the text of one function or constant of a file that cannot be imported whole."""
    from collections import defaultdict
    from functools import partial

    import numpy as np
    import torch
    import torch.nn.functional

    # NumPy 2 has renamed it.
    if not hasattr(np, "trapz"):
        np.__dict__["trapz"] = np.trapezoid
    path = os.path.join(folder, *module.split(".")) + ".py"
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    starts = (f"def {name}(", f"{name} =")
    (start,) = [number for number, line in enumerate(lines) if line.startswith(starts)]
    end = start + 1
    while end < len(lines) and lines[end][:1] in ("", " ", "\t", ")", "}", "]"):
        end += 1
    names = dict(
        np=np, torch=torch, F=torch.nn.functional, defaultdict=defaultdict, partial=partial
    )
    # Functions find those that were cut out before them.
    shared = others.setdefault("__names__", names)
    exec(compile("\n".join(lines[start:end]), path, "exec"), shared)
    return shared[name]


def zoedepth(functions, case, arguments):
    """One function with crop, caps, resizing and clipping of its own.

    In float64 but for the near end: their maps are float32, where truth of 1 mm is no more than it.
    """
    import numpy as np
    import torch

    true = np.where(case["whole_known"], case["true"], 0).astype(np.float64)
    predicted = np.array(case["own_size"], dtype=np.float64)
    scores = functions["compute_metrics"](
        torch.from_numpy(true)[None, None],
        torch.from_numpy(predicted)[None, None],
        garg_crop=arguments["crop"] == "kitti_garg",
        eigen_crop=arguments["crop"] != "kitti_garg",
        dataset="nyu" if arguments["crop"] == "nyu_eigen" else "kitti",
        min_depth_eval=float(np.float32(1e-3)),
        max_depth_eval=arguments["clip"][1],
    )
    names = {"delta1": "a1", "delta2": "a2", "delta3": "a3", "log10": "log_10"}
    names |= {name: name for name in ("abs_rel", "sq_rel", "rmse", "rmse_log", "silog")}
    return {ours: scores[theirs] for ours, theirs in names.items()}


def mono_uncertainty(functions, case, arguments):
    """Areas of three errors, of depth that its generator of maps has scaled by medians."""
    import numpy as np

    mask = case["mask"]
    true, predicted = (case[key][mask].astype(np.float64) for key in ("true", "predicted"))
    predicted = np.clip(predicted * (np.median(true) / np.median(predicted)), 1e-3, 80)
    areas = functions["compute_aucs"](true, predicted, -case["confidence"][mask].astype(float))
    found = {}
    for theirs, ours in (("abs_rel", "abs_rel"), ("rmse", "rmse"), ("a1", "delta1")):
        found[f"ause_{ours}"], found[f"aurg_{ours}"] = areas[theirs]
    return found


def unidepth(functions, case, arguments):
    """Table of their metrics, over the pixels that count."""
    import torch

    true, predicted = (torch.from_numpy(case[key]).double()[None] for key in ("true", "predicted"))
    masks = torch.from_numpy(case["mask"])[None]
    scores = functions["eval_depth"](true[:, None], predicted[:, None], masks[:, None])
    names = {"delta1": "d1", "delta2": "d2", "delta3": "d3", "rmse": "rmse", "abs_rel": "arel"}
    names |= {"sq_rel": "sqrel", "log10": "log10", "rmse_log": "rmselog", "silog_unbiased": "silog"}
    return {ours: scores[theirs][0] for ours, theirs in names.items()}


def video_depth_anything(functions, case, arguments):
    """Both directions of a pair of frames, in per cent, as its loop averages them."""
    import numpy as np
    import torch

    # Of points at one pixel the last counts; with several threads that of any of them does.
    torch.set_num_threads(1)
    first, second = (torch.from_numpy(case[key]).double() for key in ("first", "second"))
    there, back = case["motion"], np.linalg.inv(case["motion"])
    errors = []
    for one, other, motion in ((first, second, there), (second, first, back)):
        rotation, shift = torch.from_numpy(motion[:3, :3].copy()), motion[:3, 3]
        everywhere = torch.ones_like(one, dtype=torch.bool)
        errors.append(functions["tae_torch"](one, other, rotation, shift, case["K"], everywhere))
    return {"tae": 100 * sum(errors) / 2}


def marigold_normals(functions, case, arguments):
    """Angles over the pixels with truth, each number rounded by the program itself."""
    import numpy as np
    import torch

    true = np.where(case["mask"], case["true"], 0)
    predicted, true = (torch.from_numpy(np.array(each)) for each in (case["predicted"], true))
    errors = functions["compute_cosine_error"](predicted, true, masked=True)
    names = {"within_5": "sub5", "within_7_5": "sub7_5", "within_11_25": "sub11_25"}
    names |= {"within_22_5": "sub22_5", "within_30": "sub30"}
    found = {ours: functions[f"{theirs}_error"](errors) / 100 for ours, theirs in names.items()}
    whole = {name: functions[f"{name}_angular_error"](errors) for name in ("mean", "median")}
    return found | whole


def marigold(functions, case, arguments):
    """Least squares over the mask, the clip, and ten metrics of maps."""
    import numpy as np
    import torch

    true, predicted, mask = case["true"], case["predicted"], case["mask"]
    depth = functions["align_depth_least_square"](
        gt_arr=true,
        pred_arr=predicted,
        valid_mask_arr=mask,
        return_scale_shift=False,
        max_resolution=arguments["fit_side"],
    )
    if arguments["clip"] is not None:
        depth = np.clip(depth, *arguments["clip"])
    depth = np.clip(depth, 1e-6, None)
    names = {
        "abs_rel": "abs_relative_difference",
        "sq_rel": "squared_relative_difference",
        "rmse": "rmse_linear",
        "rmse_log": "rmse_log",
        "log10": "log10",
        "delta1": "delta1_acc",
        "delta2": "delta2_acc",
        "delta3": "delta3_acc",
        "irmse": "i_rmse",
        "silog": "silog_rmse",
    }
    # Some of them write into what they are given, and zeros outside the mask have no logarithm.
    true = np.where(mask, true, 1)

    def fresh():
        return [torch.from_numpy(np.array(array)) for array in (depth, true, mask)]

    return {ours: functions[theirs](*fresh()) for ours, theirs in names.items()}


def moge(functions, case, arguments):
    """MoGe's one function for everything.

    Its pin of utils3d has no ``sliding_window_2d``, which edges need.
    """
    import torch

    windows = getattr(sys.modules.get("utils3d"), "torch", None)
    if windows is not None and not hasattr(windows, "sliding_window_2d"):
        windows.sliding_window_2d = sliding_window_2d
    height, width = case["mask"].shape
    K = case["K"] / [[width], [height], [1]]
    true = {
        "depth": torch.from_numpy(case["true"]),
        "points": torch.from_numpy(case["true_points"]),
        "depth_mask": torch.from_numpy(case["mask"]),
        "intrinsics": torch.from_numpy(K),
        "is_metric": True,
        "has_sharp_boundary": arguments["is_sharp"],
        "segmentation_mask": torch.from_numpy(case["objects"]),
        "segmentation_labels": {str(n): n for n in sorted(set(case["objects"].ravel()) - {0})},
    }
    values = case[arguments["key"]]
    if arguments["key"] == "predicted_K":
        values = values / [[width], [height], [1]]
    predicted = {arguments["theirs"]: torch.from_numpy(values)}
    metrics, _ = functions["compute_metrics"](predicted, true)
    scores = metrics[arguments["group"]]
    return {ours: scores[theirs] for ours, theirs in arguments["names"].items()}


def sliding_window_2d(x, window_size, stride, dim=(-2, -1)):
    """Windows of a tensor over two dimensions, as utils3d made them."""
    for place, axis in enumerate([dimension % x.ndim for dimension in dim]):
        size, step = (n if isinstance(n, int) else n[place] for n in (window_size, stride))
        x = x.unfold(axis, size, step)
    return x


def probe3d_depth(functions, cases, arguments):
    """One batch of all images, averaged over images as their loop does."""
    import numpy as np
    import torch

    true = [np.where(case["mask"], case["true"], 0) for case in cases]
    predicted = [case["predicted"] for case in cases]
    maps = [torch.from_numpy(np.stack(arrays)[:, None]) for arrays in (predicted, true)]
    scores = functions["evaluate_depth"](
        *maps, image_average=True, scale_invariant=arguments["scale_invariant"]
    )
    names = {"delta1": "d1", "delta2": "d2", "delta3": "d3", "rmse": "rmse"}
    return {ours: scores[theirs] for ours, theirs in names.items()}


def probe3d_normals(functions, cases, arguments):
    """One batch of all images too."""
    import numpy as np
    import torch

    predicted, true, valid = (
        torch.from_numpy(np.stack([case[key] for case in cases]))
        for key in ("predicted", "true", "mask")
    )
    valid = valid[:, None]
    scores = functions["evaluate_surface_norm"](predicted, true, valid, image_average=True)
    names = {"within_11_25": "d1", "within_22_5": "d2", "within_30": "d3", "rmse": "rmse"}
    return {ours: scores[theirs] for ours, theirs in names.items()}


def dsine(functions, case, arguments):
    """Angles of the pixels that count, in one list; shares are percent there."""
    import torch

    read = {}
    if "root" in case:
        case, read = dsine_files(case, arguments["loader"])
    predicted, true = (torch.from_numpy(case[key][None]) for key in ("predicted", "true"))
    angles = functions["compute_normal_error"](predicted, true)[0, 0]
    scores = functions["compute_normal_metrics"](angles[torch.from_numpy(case["mask"])])
    shares = ("within_5", "within_7_5", "within_11_25", "within_22_5", "within_30")
    answers = {name: scores[name] for name in ("mean", "median", "rmse")} | read
    return answers | {name: scores[f"a{at}"] / 100 for at, name in enumerate(shares, start=1)}


def dsine_files(case, loader):
    """Maps that its loader of a set reads, and weighted means of them.

    Its normals point away from the camera, and have any length.
    """
    import types

    import numpy as np

    module = importlib.import_module(loader)
    vars(module)["DATASET_PATH"] = str(case["root"])
    options = types.SimpleNamespace(load_img=True, load_normal=True, load_intrins=True)
    sample = module.get_sample(options, str(case["path"]), {})
    mask, weights = sample.normal_mask[..., 0], case["weights"]
    true = np.moveaxis(sample.normal, 2, 0)
    unit = -true[:, mask].astype(np.float64)
    unit /= np.linalg.norm(unit, axis=0)
    read = {"valid": (weights * mask).mean()}
    read |= {axis: (weights[mask] * row).mean() for axis, row in zip("xyz", unit, strict=True)}
    read["K"] = (sample.intrins * np.arange(9).reshape(3, 3)).sum()
    read["image"] = (weights[..., None] * np.array([1, 2, 3]) * sample.img).mean()
    maps = {"predicted": -case["predicted"], "true": np.ascontiguousarray(true), "mask": mask}
    return maps, read


def depth_anything_v2(functions, case, arguments):
    """Pixels that count, in one list, from 1 mm to 80 m as the loop of validation has it.

    In float64: in float32 a ratio of exactly 1.25 falls on either side of the threshold.
    """
    import torch

    whole, shape = torch.from_numpy(case["own_size"]), case["mask"].shape
    true = torch.from_numpy(case["true"])
    mask = (torch.from_numpy(case["whole_known"]) & (true >= 0.001) & (true <= 80.0)).numpy()
    if whole.shape != shape:
        resize = torch.nn.functional.interpolate
        whole = resize(whole[None, None], shape, mode="bilinear", align_corners=True)[0, 0]
    lists = [whole.numpy()[mask], case["true"][mask]]
    lists = [torch.from_numpy(values).double() for values in lists]
    scores = functions["eval_depth"](*lists)
    names = {"delta1": "d1", "delta2": "d2", "delta3": "d3", "silog_half": "silog"}
    names |= {name: name for name in ("abs_rel", "sq_rel", "rmse", "rmse_log", "log10")}
    return {ours: scores[theirs] for ours, theirs in names.items()}


def monodepth2(functions, case, arguments):
    """Scaled by medians and clipped, as the loop of the program does before its function."""
    import numpy as np

    whole = case["own_size"]
    if whole.shape != case["mask"].shape:
        import cv2

        height, width = case["mask"].shape
        whole = 1 / cv2.resize(1 / whole, (width, height))
    predicted, true = whole[case["mask"]], case["true"][case["mask"]]
    predicted = np.clip(predicted * (np.median(true) / np.median(predicted)), 1e-3, 80)
    names = ("abs_rel", "sq_rel", "rmse", "rmse_log", "delta1", "delta2", "delta3")
    return dict(zip(names, functions["compute_errors"](true, predicted), strict=True))


def depth_pro(functions, case, arguments):
    """Whole maps: the function knows no mask."""
    return {"boundary_f1": functions["SI_boundary_F1"](case["predicted"], case["true"])}


CALLS = {
    "zoedepth": zoedepth,
    "mono-uncertainty": mono_uncertainty,
    "unidepth": unidepth,
    "video-depth-anything": video_depth_anything,
    "marigold-normals": marigold_normals,
    "marigold": marigold,
    "moge": moge,
    "dsine": dsine,
    "depth-anything-v2": depth_anything_v2,
    "monodepth2": monodepth2,
    "depth-pro": depth_pro,
}
"""Functions of one image, by the program's name."""

BATCHES = {"probe3d-depth": probe3d_depth, "probe3d-normals": probe3d_normals}
"""Functions of several images at once, which average over them themselves."""

if __name__ == "__main__":
    main(*sys.argv[1:])
