"""Discovery of declarations: each is in a module of its own, and consumers read all modules of the package."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TypeVar

from t2i_repro.errors import ReproError

T = TypeVar("T")


@cache
def declared(package: str, kind: type[T]) -> dict[str, T]:
    """Every instance of ``kind`` in the modules of ``package``, by its ``name``, in alphabetical order of the modules.

    A new module in the package is all that a new metric, layout, family or text encoder needs to be known. Raises
    ReproError where two have one name.
    """
    found: dict[str, T] = {}
    for module in sorted(entry.name for entry in iter_modules(import_module(package).__path__)):
        for value in vars(import_module(f"{package}.{module}")).values():
            if isinstance(value, kind):
                name = str(getattr(value, "name"))  # noqa: B009 - a TypeVar has no attributes
                if found.setdefault(name, value) is not value:
                    raise ReproError(f"{package}.{module}: {name!r} is declared twice; give one of them another name")
    return found


def resolve(reference: str) -> object:
    """The object that ``package.module:name`` refers to. Declarations refer so to what needs torch, and stay free of
    it."""
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)
