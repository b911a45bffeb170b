"""HTML put together from elements: every text is escaped, and only elements are not.

The core has no template engine, and a page of cards needs none.
"""

from html import escape
from typing import NamedTuple

VOID = frozenset({"img", "input", "link", "meta", "br"})
"""Elements without an end."""


class Markup(NamedTuple):
    """HTML that is safe as it is."""

    text: str


Child = Markup | str | float | int | None
Attribute = str | float | int | bool | None


def element(name: str, *children: Child, **attributes: Attribute) -> Markup:
    """One element.

    Args:
        name: Of the element.
        children: Texts are escaped; None is nothing.
        attributes: ``class_`` and the like lose their last underscore, other underscores become
            hyphens; True is an attribute without a value, False and None are left out.
    """
    opening = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{opening}>")
    return Markup(f"<{name}{opening}>{joined(*children).text}</{name}>")


def joined(*children: Child) -> Markup:
    """Several, one after another."""
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
