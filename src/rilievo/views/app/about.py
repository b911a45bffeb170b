"""The tab with information: models, limits, and what happens to uploads."""

import gradio as gr

from rilievo.views.app import markup
from rilievo.views.app.options import AppOptions
from rilievo.views.app.site import Site


def about_tab(site: Site) -> None:
    """Lay out the text and the table of models."""
    gr.HTML(f"<h2>Limits</h2>{_list(limits(site.options))}")
    gr.HTML(f"<h2>Models</h2>{markup.models_view(site.listed)}")


def limits(options: AppOptions) -> list[str]:
    """Limits on requests, and what is stored, one sentence each."""
    return [
        f"An upload has at most {options.max_megabytes:g} MB, a photograph "
        f"{options.max_megapixels:g} million pixels.",
        f"A video has at most {options.max_seconds:g} s and {options.max_frames} frames, "
        f"each of at most {options.max_megapixels / 3:.2g} million pixels.",
        "Uploads and results are stored only on the server of this page. They are "
        f"deleted when nobody has used them for {options.keep_minutes:g} minutes, and when the "
        "server stops.",
        "Everybody who has the address of a result can open it; addresses cannot be guessed.",
        "Depth up to scale has estimated proportions and no size: one known distance gives metres.",
    ]


def _list(lines: list[str]) -> str:
    return "<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>"
