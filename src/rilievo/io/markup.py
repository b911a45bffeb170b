"""HTML built from elements: all text is escaped, only elements are not.

The core has no template engine, and pages of cards need none.
"""

from html import escape
from typing import NamedTuple

VOID = frozenset({"base", "img", "input", "link", "meta", "br"})
"""Elements without an end tag."""


class Markup(NamedTuple):
    """HTML that needs no escaping."""

    text: str


Child = Markup | str | float | int | None
Attribute = str | float | int | bool | None


def element(name: str, *children: Child, **attributes: Attribute) -> Markup:
    """Build one element.

    Args:
        name: Tag name of the element.
        children: Content; text is escaped, None is left out.
        attributes: Attributes. ``class_`` and the like lose the last underscore, other underscores
            become hyphens; True gives an attribute without a value, False and None are left out.
    """
    opening = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{opening}>")
    return Markup(f"<{name}{opening}>{joined(*children).text}</{name}>")


def joined(*children: Child) -> Markup:
    """Concatenate several elements or texts."""
    return Markup("".join(_child(child) for child in children))


def _child(child: Child) -> str:
    if child is None:
        return ""
    return child.text if isinstance(child, Markup) else escape(str(child))


def _attribute(key: str, value: Attribute) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'
