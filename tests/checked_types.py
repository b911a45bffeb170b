"""The checker of types that `make test-all` applies to every call of the package."""

from beartype import BeartypeConf, beartype

# As type checkers have it (PEP 484), a whole number is a float too.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
