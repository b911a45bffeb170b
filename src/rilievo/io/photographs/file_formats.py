"""Records of file formats: those that are read, and those that are only recognised."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoFormat:
    """An image format that can be read, and the Pillow class that decodes it.

    Attributes:
        name: Name in messages.
        module: Module of the decoder, imported at first use.
        decoder: Name of a subclass of ``PIL.ImageFile.ImageFile``.
        extra: Extra of rilievo that the decoder needs; None for the core.
        whole: Whether the decoder reads the whole file into memory.
    """

    name: str
    module: str
    decoder: str
    extra: str | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignFormat:
    """A format that is recognised but not read."""

    name: str
    advice: str = "export it as JPEG or PNG first"
