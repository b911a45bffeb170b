"""griffe's extension by which the reference lists the fields of classes under ``@frozen``.

griffe knows ``@dataclass`` alone, so the decorator is replaced by what it stands for.
"""

from typing import Any

from griffe import Class, ExprCall, ExprKeyword, ExprName, Extension

FROZEN = "rilievo.frozen.frozen"
_OPTIONS = ("frozen", "slots", "kw_only")


class FrozenRecords(Extension):
    """Decorators of records as those of the dataclasses that they make."""

    def on_class_instance(self, *, cls: Class, **_: Any) -> None:
        """Replace the decorator of a class."""
        for each in cls.decorators:
            if each.callable_path == FROZEN:
                options = [ExprKeyword(option, "True") for option in _OPTIONS]
                each.value = ExprCall(ExprName("dataclass", ExprName("dataclasses")), options)
