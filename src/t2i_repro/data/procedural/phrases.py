"""Helpers to generate captions that describe one picture in different words."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options."""
    return options[int(rng.integers(len(options)))]


def some(rng: np.random.Generator, options: Sequence[T], least: int, most: int) -> list[T]:
    """Between ``least`` and ``most`` of the options, in random order."""
    number = min(len(options), int(rng.integers(least, most + 1)))
    return [options[int(place)] for place in rng.permutation(len(options))[:number]]


def a(phrase: str) -> str:
    """The phrase with its indefinite article."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def listed(parts: Sequence[str]) -> str:
    """ "x", "x and y", "x, y and z"."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def spoken(rng: np.random.Generator, colour: str) -> str:
    """A colour as one person or another writes it."""
    return str(pick(rng, ("grey", "gray"))) if colour == "grey" else colour


def several(write: Callable[[], str], number: int) -> list[str]:
    """``number`` captions, different from each other as long as that is not too hard."""
    captions: list[str] = []
    for _ in range(number):
        for _ in range(20):
            caption = write()
            if caption not in captions:
                break
        captions.append(caption)
    return captions
