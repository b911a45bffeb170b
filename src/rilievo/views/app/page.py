"""The page: tabs for photographs, videos, and information."""

from typing import Any

import gradio as gr
from gradio.themes import Base, colors, sizes

from rilievo.views.app.about import about_tab
from rilievo.views.app.photo_page import photo_tab
from rilievo.views.app.site import Site
from rilievo.views.app.video_page import video_tab

TITLE = "rilievo"
MOST_SESSIONS = 100
"""Most open pages that are remembered; Gradio's default is 10,000 until the server stops."""


def page(site: Site) -> Any:
    """Build the page from Gradio's blocks."""
    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        gr.HTML(
            "<header><h1>rilievo</h1><p>One photograph in; depth, surface normals and a measured "
            "surface out.</p></header>"
        )
        with gr.Tabs():
            with gr.Tab("Photograph"):
                photo_tab(site)
            with gr.Tab("Video"):
                video_tab(site)
            with gr.Tab("About"):
                about_tab(site)
    blocks.state_session_capacity = MOST_SESSIONS
    blocks.queue(
        max_size=site.options.queue,
        default_concurrency_limit=site.options.workers,
        api_open=False,
    )
    return blocks


def theme() -> Any:
    """Theme with system fonts, so that nothing is loaded from elsewhere."""
    base = Base(
        primary_hue=colors.teal,
        neutral_hue=colors.stone,
        radius_size=sizes.radius_sm,
        font=["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        font_mono=["ui-monospace", "Menlo", "Consolas", "monospace"],
    )
    # All text has a contrast of at least 4.5 to 1, as WCAG 2.2 asks (1.4.3).
    return base.set(
        color_accent="*primary_700",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_700",
        input_placeholder_color="*neutral_500",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color="white",
        button_large_text_weight="600",
        button_large_text_size="*text_md",
    )
