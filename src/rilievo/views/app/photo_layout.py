"""Layout of the tab for photographs: inputs and views."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from rilievo.io.colour import COLOUR_MAPS
from rilievo.views.app import markup
from rilievo.views.app.choices import open_choices
from rilievo.views.app.examples import EXAMPLES, EXAMPLES_HINT
from rilievo.views.app.measure_page import Measuring, measuring_view
from rilievo.views.app.question import CameraFrom
from rilievo.views.app.site import Site

_CAMERAS = [
    ("From the photograph (EXIF), else assumed", CameraFrom.PHOTOGRAPH.value),
    ("Horizontal field of view, in degrees", CameraFrom.FOV.value),
    ("Focal length, in pixels", CameraFrom.FOCAL.value),
    ("Focal length, in mm of a 35 mm camera", CameraFrom.FOCAL_35MM.value),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """Input components."""

    photo: Any
    examples: list[Any]
    model: Any
    flip: Any
    camera_from: Any
    number: Any
    colour_map: Any
    near: Any
    far: Any
    go: Any
    status: Any

    @property
    def asked(self) -> list[Any]:
        """Components that make up a question."""
        return [self.photo, self.model, self.flip, self.camera_from, self.number]

    @property
    def colours(self) -> list[Any]:
        """Components that determine how depth is drawn."""
        return [self.colour_map, self.near, self.far]


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """Output components."""

    depth: Any
    normals: Any
    confidence: Any
    surface: Any
    measuring: Measuring
    other: Any
    other_flip: Any
    compare: Any
    pair: Any
    files: Any


def photo_column() -> tuple[Any, list[Any], Any]:
    """Lay out the input of a photograph.

    Returns:
        The photograph, a button for each of ``EXAMPLES``, and the status line.
    """
    photo = gr.Image(
        label="Photograph",
        placeholder="Drop a photograph here, or click to choose one",
        sources=["upload", "webcam", "clipboard"],
        type="filepath",
        image_mode=None,
        height=260,
        buttons=[],
        elem_id="photo",
    )
    gr.HTML(markup.hint(EXAMPLES_HINT))
    with gr.Row(elem_classes="examples"):
        examples = [
            gr.Button(example.title, size="sm", min_width=120, elem_id=f"example-{example.name}")
            for example in EXAMPLES
        ]
    status = gr.HTML(markup.hint("Nothing leaves this server."), elem_id="status")
    return photo, examples, status


def chosen_column(site: Site, photo: Any, examples: list[Any], status: Any) -> Given:
    """Lay out the other inputs, and collect all of them."""
    model, flip = _model_choice(site, "Model (licence)")
    with gr.Accordion("Camera", open=False):
        camera_from = gr.Radio(_CAMERAS, value=_CAMERAS[0][1], label="Source of the focal length")
        number = gr.Textbox(label="Degrees, pixels or millimetres", max_lines=1)
    with gr.Accordion("Colours", open=False):
        colour_map = gr.Dropdown(list(COLOUR_MAPS), value=COLOUR_MAPS[0], label="Colour map")
        gr.HTML(markup.hint("Range of depths, in the unit of the result; empty for automatic."))
        with gr.Row():
            near = gr.Textbox(label="Near end", max_lines=1, min_width=100)
            far = gr.Textbox(label="Far end", max_lines=1, min_width=100)
    go = gr.Button("Show depth", variant="primary", elem_id="go")
    return Given(
        photo=photo,
        examples=examples,
        model=model,
        flip=flip,
        camera_from=camera_from,
        number=number,
        colour_map=colour_map,
        near=near,
        far=far,
        go=go,
        status=status,
    )


def _model_choice(site: Site, label: str) -> tuple[Any, Any]:
    open_ones = [(choice.label, choice.name) for choice in open_choices(site.listed)]
    model = gr.Dropdown(open_ones, value=site.options.model, label=label, filterable=False)
    return model, gr.Checkbox(label="Average with the mirror image (twice the time)")


def views_column(site: Site) -> Views:
    """Lay out the views."""
    with gr.Tabs(elem_id="views", overflow_behavior="wrap"):
        with gr.Tab("Depth"):
            depth = gr.HTML(markup.NOTHING, elem_id="depth")
            confidence = gr.HTML("", elem_id="confidence")
        with gr.Tab("Surface"):
            surface = gr.HTML(markup.NOTHING, elem_id="surface")
        with gr.Tab("Measure"):
            measuring = measuring_view()
        with gr.Tab("Normals"):
            normals = gr.HTML(markup.NOTHING, elem_id="normals")
        with gr.Tab("Compare"):
            other, other_flip = _model_choice(site, "Second model (licence)")
            compare = gr.Button("Compare with the first answer", elem_id="compare")
            pair = gr.HTML(markup.NOTHING, elem_id="pair")
        with gr.Tab("Files"):
            files = gr.HTML(markup.NOTHING, elem_id="files")
    return Views(
        depth=depth,
        normals=normals,
        confidence=confidence,
        surface=surface,
        measuring=measuring,
        other=other,
        other_flip=other_flip,
        compare=compare,
        pair=pair,
        files=files,
    )
