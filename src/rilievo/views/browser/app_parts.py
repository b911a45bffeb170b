"""Parts of the page that it has where a server is behind it."""

from collections.abc import Iterator, Mapping

from rilievo.io.markup import Markup, element

EXAMPLES: Mapping[str, str] = {
    "coffee": "A cup of coffee",
    "astronaut": "An astronaut",
    "motorcycle": "A motorcycle",
    "cat": "A cat",
    "photographer": "A photographer",
    "rocket": "A rocket",
}
"""Photographs to try, by the name of their file; the first is shown when the page opens."""

_VIDEOS = (
    ("colour", "depth in colours"),
    ("normals", "normals"),
    ("png16", "depth as 16-bit numbers"),
)


def statement(minutes: float | int) -> str:
    """The sentence about what happens to photographs."""
    return (
        "Photographs and videos are sent to this server. Each result has an address of its own, "
        f"which cannot be guessed and may be passed on; unused results are deleted after "
        f"{minutes:g} minutes. With a model of this browser, nothing is sent."
    )


def examples(titles: Mapping[str, str]) -> Markup:
    """Photographs to try, as buttons.

    Args:
        titles: Names of files, each with a title.
    """
    pictures = (
        element(
            "button",
            element("img", src=f"examples/{name}.jpg", alt=title, width=96, height=72),
            type="button",
            title=title,
            data_example=name,
        )
        for name, title in titles.items()
    )
    return element(
        "div", *pictures, id="examples", class_="strip", aria_label="Examples", role="group"
    )


def video_choices() -> Markup:
    """Choice of what is made of a video."""
    boxes = (
        element(
            "label",
            element(
                "input", type="checkbox", name_="video", value=value, checked=value == "colour"
            ),
            words,
        )
        for value, words in _VIDEOS
    )
    return element("fieldset", element("legend", "Of a video"), *boxes, id="video-choices")


def visit_parts() -> Iterator[Markup]:
    """Results of this visit, and the result of a video."""
    yield element(
        "section",
        element("h2", "Results of this visit"),
        element("div", id="visit-results", class_="strip"),
        element(
            "div",
            element("button", "Copy the address", type="button", id="copy-address"),
            element("a", "All of them as a zip", id="visit-zip", class_="button", hidden=True),
            element("button", "Forget them", type="button", id="forget"),
            class_="buttons",
        ),
        id="visit",
        hidden=True,
    )
    yield element(
        "section",
        element("h2", id="video-title"),
        element("progress", id="video-progress", max=1, aria_label="Progress of the video"),
        element("video", id="video-made", controls=True, loop=True, muted=True, playsinline=True),
        element(
            "div",
            element("button", "Stop", type="button", id="video-stop"),
            element("span", id="video-files", class_="buttons"),
            class_="buttons",
        ),
        id="video-result",
        hidden=True,
    )


def server_files(outputs: Mapping[str, str]) -> Iterator[Markup]:
    """Links to files that the server writes.

    Args:
        outputs: Names of outputs, each with a line about it.
    """
    yield element("h2", "Files", class_="on-server")
    links = (
        element("a", name, class_="button", title=summary, data_save=name)
        for name, summary in outputs.items()
    )
    everything = element("a", "All as a zip", class_="button first", data_save="all")
    yield element("div", everything, *links, class_="buttons on-server", id="server-files")
    yield element(
        "p",
        "In metres once the length of a line is known; until then in an unknown unit.",
        class_="quiet on-server",
        data_needs="surface",
    )
