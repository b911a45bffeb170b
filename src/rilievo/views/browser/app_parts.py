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

FILES: Mapping[str, str] = {
    "colour": "Depth, picture",
    "normals": "Normals, picture",
    "confidence": "Confidence, picture",
    "png16": "Depth, 16-bit PNG",
    "tiff": "Depth, TIFF",
    "exr": "Depth, OpenEXR",
    "npy": "Depth, NPY",
    "normals-npy": "Normals, NPY",
    "npz": "Everything, NPZ",
    "ply": "Points, PLY",
    "glb": "Mesh, GLB",
    "html": "Page to share",
    "panel": "Picture for slides",
    "stereo": "Stereo picture",
}
"""Files to take home, by the names of outputs."""

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


def history_parts() -> Iterator[Markup]:
    """Results of this browser, and the result of a video."""
    yield element(
        "section",
        element("h2", "Your results"),
        element("div", id="history-results", class_="strip"),
        element(
            "div",
            element("button", "Copy the address", type="button", id="copy-address"),
            element("a", "All of them as a zip", id="history-zip", class_="button", hidden=True),
            element("button", "Forget them", type="button", id="forget"),
            class_="buttons",
        ),
        id="history",
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


def server_files() -> Iterator[Markup]:
    """Links to files that the server writes."""
    yield element("h2", "Files", class_="on-server")
    everything = element("a", "All as a zip", class_="button first", download=True, data_save="all")
    links = (
        element("a", words, class_="button", download=True, data_save=name)
        for name, words in FILES.items()
    )
    yield element("div", everything, *links, class_="buttons on-server", id="server-files")
