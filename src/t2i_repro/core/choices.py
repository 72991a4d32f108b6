"""The two values of a divergence switch: what the released code does, or what the paper prints."""

from collections.abc import Collection
from typing import Literal

from t2i_repro.errors import ReproError

Form = Literal["code", "printed"]
FORMS: tuple[Form, ...] = ("code", "printed")


def check_choice(field: str, value: object, allowed: Collection[object]) -> None:
    """Raise ReproError naming ``field`` unless ``value`` is one of ``allowed``."""
    if value not in allowed:
        names = ", ".join(repr(choice) for choice in allowed)
        raise ReproError(f"{field}: found {value!r}, expected one of {names}")
