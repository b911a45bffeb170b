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
        for decorator in cls.decorators:
            if decorator.callable_path == FROZEN:
                call = decorator.value
                arguments = call.arguments if isinstance(call, ExprCall) else ()
                own = [argument for argument in arguments if isinstance(argument, ExprKeyword)]
                names = {argument.name for argument in own}
                usual = [ExprKeyword(name, "True") for name in _OPTIONS if name not in names]
                decorator.value = ExprCall(
                    ExprName("dataclass", ExprName("dataclasses")), [*usual, *own]
                )
