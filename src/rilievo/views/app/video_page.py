"""The tab for videos: options, progress and results."""

import threading
from collections.abc import Iterator
from typing import Any

import gradio as gr

from rilievo.io.colour import COLOUR_MAPS, check_colour_map
from rilievo.views.app import markup
from rilievo.views.app.choices import open_choices
from rilievo.views.app.clips import OUTPUTS, ClipAsked, ClipProgress, predict_within
from rilievo.views.app.question import safe_stem
from rilievo.views.app.site import Site, line_of

_MADE = {
    "colour": "Depth in colours",
    "normals": "Normals in colours",
    "png16": "Depth as 16-bit numbers (Matroska)",
}


def video_tab(site: Site) -> None:
    """Lay out the tab and connect its events."""
    with gr.Row(elem_classes="sheet"):
        with gr.Column(scale=4, min_width=300):
            inputs, go, cancel = _given(site)
        with gr.Column(scale=9, min_width=320):
            result = gr.HTML(markup.hint("Give a video to see its depth."), elem_id="video-result")

    def make(*asked: Any) -> Iterator[str]:
        # Gradio inspects a function's body to see whether it yields.
        yield from made_videos(site, *asked)

    running = go.click(
        make,
        inputs,
        [result],
        preprocess=False,
        show_progress="hidden",
        api_visibility="private",
        concurrency_limit=1,
        concurrency_id="video",
    )
    cancel.click(
        lambda: markup.say("Stopped. Nothing was kept."),
        None,
        [result],
        cancels=[running],
        show_progress="hidden",
        concurrency_id="cancel",
        api_visibility="private",
    )


def _given(site: Site) -> tuple[list[Any], Any, Any]:
    """Components of a request, and the buttons that start and stop the work."""
    options = site.options
    video = gr.File(
        label="Video: drop or choose one", file_types=["video"], height=180, elem_id="video"
    )
    gr.HTML(
        markup.hint(
            f"At most {options.max_seconds:g} s, {options.max_frames} frames and "
            f"{options.max_megabytes:g} MB. The sound is kept."
        )
    )
    names = [(choice.label, choice.name) for choice in open_choices(site.listed)]
    model = gr.Dropdown(names, value=options.model, label="Model (licence)", filterable=False)
    made = gr.CheckboxGroup(
        [(_MADE[name], name) for name in OUTPUTS], value=["colour"], label="What to make"
    )
    colours = gr.Dropdown(list(COLOUR_MAPS), value=COLOUR_MAPS[0], label="Colour map")
    go = gr.Button("Make the videos", variant="primary", elem_id="go-video")
    cancel = gr.Button("Cancel", elem_id="cancel-video")
    return [video, model, made, colours], go, cancel


def made_videos(
    site: Site, video: Any, model: str, made: list[str], colour_map: str
) -> Iterator[str]:
    """Yield the HTML about a video repeatedly until it is finished."""
    stop = threading.Event()
    token: str | None = None
    finished = False
    try:
        path = site.uploaded(video)
        if model not in {choice.name for choice in open_choices(site.listed)}:
            yield markup.complain("this model cannot be chosen here")
            return
        token = site.store.begin_clip()
        asked = ClipAsked(
            video=path,
            name=safe_stem(site.named(video)),
            model=site.store.networks.model(model),
            outputs=tuple(made),
            colour_map=check_colour_map(colour_map),
            folder=site.store.folder / token,
        )
        yield markup.progress_view(0.0, "Reading the video.")
        for progress in predict_within(asked, site.options, stop):
            finished = progress.done is not None
            yield _told(token, progress)
            site.store.touch(token)
    except Exception as error:
        yield markup.complain(line_of(error))
    finally:
        stop.set()
        if token is not None and not finished:
            site.store.forget(token)


def _told(token: str, progress: ClipProgress) -> str:
    done = progress.done
    if done is None:
        share = "" if progress.share is None else f"{100 * progress.share:.0f} %, "
        left = "" if progress.left is None else f", about {progress.left:.0f} s left"
        return markup.progress_view(
            progress.share, f"{share}{progress.frames // 2} frames done{left}."
        )
    files = [(facts.file, facts.holds) for facts in done.files]
    words = [f"{done.video.frames} frames, {len(done.video.shots)} shots."]
    words += [f"Note: {note}" for note in (*done.video.notes, *done.video.faults)]
    if done.depth is not None:
        words.append(f"Depth: {done.depth.meaning}.")
    return markup.clip_view(token, files, words)
