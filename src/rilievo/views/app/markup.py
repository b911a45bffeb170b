"""Parts of the page as HTML. All text from visitors and files is escaped."""

from collections.abc import Sequence
from html import escape

from rilievo.geometry.intrinsics import horizontal_fov
from rilievo.io.colour import ColourRange
from rilievo.io.facts import MEANINGS
from rilievo.types import CameraSource, DepthKind, Prediction
from rilievo.views.app.answers import Answer
from rilievo.views.app.choices import Choice
from rilievo.views.app.files import Offer
from rilievo.views.app.pictures import colour_bar
from rilievo.views.app.session import Colours

_CAMERAS = {
    CameraSource.GIVEN: "as you gave it",
    CameraSource.FOV: "from the field of view that you gave",
    CameraSource.EXIF_35MM: "from the photograph's EXIF (35 mm equivalent)",
    CameraSource.EXIF_SENSOR: "from the photograph's EXIF (sensor)",
    CameraSource.PREDICTED: "predicted by the model",
    CameraSource.MARKERS: "from printed markers",
    CameraSource.VANISHING_POINTS: "from vanishing points of straight edges",
    CameraSource.ASSUMED: "assumed, because the photograph states none",
}

NOTHING = '<p class="hint">Give a photograph to see this.</p>'
"""Placeholder of a view before the first answer."""


def say(*lines: str) -> str:
    """A message that screen readers announce."""
    return f'<div class="say" role="status">{_paragraphs(lines)}</div>' if lines else ""


def complain(line: str) -> str:
    """An error in one line; it begins with a word, and does not rely on colour."""
    return f'<div class="say wrong" role="alert"><p><b>Error:</b> {escape(line)}</p></div>'


def hint(line: str) -> str:
    """A subdued remark."""
    return f'<p class="hint">{escape(line)}</p>'


def summary(answer: Answer, prediction: Prediction, shown: str) -> str:
    """Describe an answer."""
    height, width = answer.shape
    lines = [f"{shown} answered for {width} × {height} pixels in {answer.seconds:.2f} s."]
    if prediction.depth_or_none is not None:
        lines.append(f"Its numbers: {MEANINGS[prediction.depth.kind]}.")
        if prediction.depth.kind is not DepthKind.METRIC:
            lines.append("A distance or length that you know gives metres: see Measure.")
    camera = prediction.camera
    if camera is not None:
        fov = horizontal_fov(camera.K, width)
        lines.append(
            f"Camera: {fov:.0f}° across, focal length {camera.K[0, 0]:.0f} px, "
            f"{_CAMERAS[camera.source]}."
        )
    calibration = prediction.calibration
    if calibration is not None:
        if calibration.own_depth is not None:
            lines.append(
                f"Metres from the depth in the photograph's file ({calibration.own_depth})."
            )
        else:
            said = ", ".join(calibration.asked)
            lines.append(f"Metres from {calibration.method}: {said}.")
        if calibration.expected_error is not None:
            percent = f"{100 * calibration.expected_error:.0f} %"
            lines.append(f"Expect depths of 8 pixels in 10 within {percent}.")
        if calibration.warning is not None:
            lines.append(f"Note: {calibration.warning}.")
    if answer.remark is not None:
        lines.append(f"{answer.question.name}: {answer.remark}.")
    return say(*lines)


def depth_view(answer: Answer, kind: DepthKind, colours: Colours, limits: ColourRange) -> str:
    """Depth over the photograph, with a slider between the two, and a legend."""
    base = f"answers/{answer.token}"
    height, width = answer.shape
    return (
        '<figure class="view">'
        f'<div class="over" style="aspect-ratio:{width}/{height};'
        f'--ratio:{width / height:.4f}">'
        f'<img src="{base}/photo.jpg" alt="The photograph">'
        f'<img class="top" src="{base}/depth.jpg?{escape(colours.query)}" '
        'alt="Depth in colours; what is near is bright">'
        '<div class="edge" aria-hidden="true"></div>'
        '<input type="range" min="0" max="100" value="50" '
        'aria-label="How much of the photograph the depth picture covers, in percent" '
        "oninput=\"this.parentElement.style.setProperty('--cut', this.value + '%')\">"
        "</div>"
        f"<figcaption>{_legend(kind, colours, limits)}</figcaption></figure>"
    )


def picture_view(answer: Answer, name: str, alt: str, caption: str) -> str:
    """One picture of an answer."""
    height, width = answer.shape
    return (
        f'<figure class="view"><img style="aspect-ratio:{width}/{height};'
        f'--ratio:{width / height:.4f}" src="answers/{answer.token}/{name}.jpg" '
        f'alt="{escape(alt)}"><figcaption>{escape(caption)}</figcaption></figure>'
    )


def surface_view(answer: Answer) -> str:
    """The surface in an iframe, loaded when it becomes visible."""
    return (
        f'<iframe class="surface" src="answers/{answer.token}/surface.html" loading="lazy" '
        'title="Surface in 3-D, to turn and zoom"></iframe>'
        f"{hint('It has fewer points on the page; the GLB and PLY under Files have all of them.')}"
    )


def pair_view(sides: Sequence[tuple[str, Answer, Colours]], words: Sequence[str]) -> str:
    """Depth of two models side by side, each with its name."""
    figures = "".join(
        f'<figure class="view"><figcaption><b>{escape(name)}</b>, '
        f"{answer.seconds:.2f} s</figcaption>"
        f'<img src="answers/{answer.token}/depth.jpg?{escape(colours.query)}" '
        f'alt="Depth of {escape(name)} in colours; what is near is bright"></figure>'
        for name, answer, colours in sides
    )
    return f'<div class="pair">{figures}</div>{say(*words)}'


def files_view(answer: Answer, colours: Colours, offers: Sequence[Offer]) -> str:
    """All formats as links; unavailable ones with the reason."""
    base, query = f"answers/{answer.token}", escape(colours.query)
    rows = "".join(
        f"<tr><td>{_file_link(offer, base, query)}</td>"
        f"<td>{escape(offer.summary if offer.refusal is None else offer.refusal)}</td></tr>"
        for offer in offers
    )
    zipped = escape(f"{answer.question.name}.zip")
    return (
        f'<p><a class="button" href="{base}/all.zip?{query}" download="{zipped}">'
        "Everything as one zip</a></p>"
        '<p class="hint">The zip also holds a JSON that says what the numbers are. Each file is '
        "made when you ask for it.</p>"
        '<table class="list"><thead><tr><th scope="col">File</th><th scope="col">Holds</th>'
        f"</tr></thead><tbody>{rows}</tbody></table>"
    )


def models_view(listed: Sequence[Choice]) -> str:
    """Table of the models, their licences, and whether they can be chosen."""
    rows = "".join(
        f"<tr><td>{escape(choice.shown)}</td><td>{_kind(choice)}</td>"
        f"<td>{escape(choice.licence)}</td>"
        f"<td>{escape(choice.refusal or 'can be chosen')}</td></tr>"
        for choice in listed
    )
    columns = "".join(
        f'<th scope="col">{name}</th>' for name in ("Model", "Depth", "Licence", "Here")
    )
    return f'<table class="list"><thead><tr>{columns}</tr></thead><tbody>{rows}</tbody></table>'


def progress_view(share: float | None, line: str) -> str:
    """Progress bar of a video, with the same in words."""
    value = "" if share is None else f' value="{share:.3f}"'
    return (
        f'<div class="say"><progress max="1"{value} aria-label="Progress of the video"></progress>'
        f"<p>{escape(line)}</p></div>"
    )


def clip_view(token: str, files: Sequence[tuple[str, str]], words: Sequence[str]) -> str:
    """Finished videos, to play where a browser can, and to download."""
    playable = [name for name, _ in files if name.endswith(".mp4")]
    players = "".join(
        f'<video controls preload="metadata" src="answers/{token}/clip/{escape(name)}" '
        f'aria-label="{escape(name)}"></video>'
        for name in playable
    )
    links = "".join(
        f'<li><a href="answers/{token}/clip/{escape(name)}" download="{escape(name)}">'
        f"{escape(name)}</a>: {escape(holds)}</li>"
        for name, holds in files
    )
    return f'{players}<ul class="files">{links}</ul>{say(*words)}'


def _file_link(offer: Offer, base: str, query: str) -> str:
    if offer.refusal is not None:
        return f'<span class="absent">{escape(offer.file)} (not available)</span>'
    name = escape(offer.file)
    return f'<a href="{base}/files/{offer.output}?{query}" download="{name}">{name}</a>'


def _kind(choice: Choice) -> str:
    if choice.card is None:
        return "see its answer"
    return "none, normals alone" if choice.card.kind is None else choice.card.kind.replace("_", " ")


def _legend(kind: DepthKind, colours: Colours, limits: ColourRange) -> str:
    """The colour map with the values of its ends, as far as they have a meaning."""
    far, near = "far", "near"
    if kind is DepthKind.METRIC and limits.low > 0:
        far, near = f"far, {1 / limits.low:.2f} m", f"near, {1 / limits.high:.2f} m"
    elif kind is DepthKind.UP_TO_SCALE and limits.low > 0:
        far = f"far, {limits.high / limits.low:.1f} times as deep as the near end"
    return (
        f'<div class="legend"><span>{far}</span>'
        f'<img src="{colour_bar(colours.colour_map)}" alt="Colours from far to near">'
        f"<span>{near}</span></div>"
    )


def _paragraphs(lines: Sequence[str]) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in lines)
