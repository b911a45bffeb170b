"""Cards of the models that rilievo trained itself, as rows of ``MODELS``."""

from rilievo.models.card import ModelCard
from rilievo.types import DepthKind

SMALL, INT8, TINY = "rilievo/small", "rilievo/small-int8", "rilievo/tiny"
RENDERED = "rilievo/small-rendered"
SEPARATE = "rilievo.models.separate:load"


def listed_cards() -> tuple[ModelCard, ...]:
    """Cards with the default first; it and the tiny one are inside the package."""
    return (
        _card(
            SMALL,
            "embedded default: MobileNetV2 encoder, light decoder; works offline immediately",
            megabytes=11.1,
            speed="fast: ten milliseconds",
        ),
        _card(
            TINY,
            "for video and small machines: a quarter of the default's weights",
            megabytes=2.7,
            speed="fastest: a few milliseconds",
        ),
        _card(
            INT8,
            "the default in 8 bits: a third of the size, a little less exact",
            megabytes=3.4,
            speed="fast: some milliseconds",
            loader=SEPARATE,
            source="weights/small-int8.onnx of rilievo's repository",
        ),
        _card(
            RENDERED,
            "as the default, trained on rendered scenes alone",
            megabytes=5.6,
            speed="fast: ten milliseconds",
            loader=SEPARATE,
            source="weights/small-rendered.onnx of rilievo's repository",
        ),
    )


def _card(
    name: str,
    summary: str,
    *,
    megabytes: float,
    speed: str,
    loader: str = "rilievo.models.onnx:load",
    source: str | None = None,
) -> ModelCard:
    return ModelCard(
        name=name,
        summary=summary,
        kind=DepthKind.UP_TO_SCALE,
        normals=True,
        confidence=True,
        licence="Apache-2.0",
        commercial=True,
        megabytes=megabytes,
        speed=speed,
        loader=loader,
        source=source,
    )
