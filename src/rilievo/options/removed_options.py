"""Options and names that are gone, which every door answers with these words."""

from collections.abc import Mapping

REMOVED: Mapping[str, str] = {
    "sharp": "is gone since 0.3.0: no answer is sharpened; leave it out",
    **dict.fromkeys(
        (
            *("connections", "queue", "uploads", "upload_seconds", "download_seconds", "streams"),
            *("window", "max_frames", "video_limit", "keep_megabytes", "waiting"),
            *("serve batch", "serve workers", "serve disk_megabytes"),
            *("app batch", "app workers", "app disk_megabytes", "app max_seconds"),
        ),
        "is gone since 0.3.0: docs/serve.md and docs/app.md list the fixed limits; leave it out",
    ),
    "app token_file": "is gone since 0.3.0: a page sends no token; a proxy before it can ask for a "
    "password, and rilievo serve takes tokens",
    "against": "is gone since 0.3.0: rilievo compare shows how ranks change",
    "certainty": "is gone since 0.3.0: the benchmarks certainty and normals-certainty judge it",
    "sure_pattern": "is gone since 0.3.0: store the array confidence beside depth in an npz file",
    "export": "is gone since 0.3.0: export the dataset with FiftyOne itself",
    "points": "is gone since 0.3.0: rilievo predict --save ply, or page, shows surfaces",
    "prove": "is gone since 0.3.0: in a checkout, python -m lab.prove NAME does it",
    "keep_answers": "is gone since 0.3.0: save npz, which is the whole answer, and read it with "
    "rilievo.read_prediction",
    **dict.fromkeys(
        (
            *("patience", "validations", "start_share", "keep_best", "motion_again", "accumulate"),
            *("pose_warm_up", "camera_rate", "clip_norm", "checkpoint_steps", "parallax"),
            *("least_motion", "held_out_stretches", "published_camera", "cancels_scale"),
            *("treatment", "start_factor", "final_factor", "no_shuffle", "backbone_seed"),
            *("weight_decay", "tokens", "augmentation.jitter", "augmentation.crop"),
        ),
        "is gone since 0.3.0: the preset sets it, and in Python it is a field of the configuration",
    ),
    **dict.fromkeys(
        ("follow_poses", "no_temporal"),
        "is gone since 0.3.0: --pose none takes motion from --poses, else from --stereo alone",
    ),
    **dict.fromkeys(("devices", "nodes"), "is gone since 0.3.0: torchrun starts the processes"),
    "pose_encoder": "is gone since 0.3.0: it is that of --encoder",
    "mask": "is gone since 0.3.0: --losses.predictive-mask gives the network one",
    "cosine": "is gone since 0.3.0: without milestones, as with preset clip, it is the schedule",
    "freeze_encoder": "is gone since 0.3.0: all of the depth network learns",
    "part": "is gone since 0.3.0: give each process a file with some of the backbones and the same "
    "-o; the whole file then takes their cells",
    "losses.velocity": "is gone since 0.3.0: --pose none with --poses learns metres",
    "losses.hints": "is gone since 0.3.0: no loss takes its place",
    "train teacher": "is gone since 0.3.0: in a checkout, python -m lab.making teacher does it",
    "train distil": "is gone since 0.3.0: in a checkout, python -m lab.making distil does it",
    "rilievo/small-rendered": "is gone since 0.3.0: in a checkout, its file is "
    "lab/making/small-rendered.onnx",
    "rilievo/tiny": "is gone since 0.3.0: rilievo/small is the fast model",
}
"""Answers, each to be read after the name of the option, command or model, as a door spells it.

An option that left one command alone has the command before its name.
"""
