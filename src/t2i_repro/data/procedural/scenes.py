"""Procedural scenes of several objects, for stand-ins of COCO: objects, their positions and colours, sky and ground."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from t2i_repro.data.procedural.canvas import (
    Canvas,
    Colour,
    Points,
    backdrop,
    blend,
    jittered,
    oval,
    rounded,
    shaded,
    smooth_noise,
)
from t2i_repro.data.procedural.phrases import a, listed, pick, several, spoken

SKIES = ("blue", "cloudy", "sunset")
GROUNDS = ("grass", "sand", "snow", "road")
PAINTS = ("red", "blue", "yellow", "green", "white", "black", "orange", "purple")
THINGS = ("house", "car", "tree", "ball", "boat", "kite", "umbrella", "bench")

_SKY_SAID = {
    "blue": ("under a blue sky", "on a clear day", "on a sunny day"),
    "cloudy": ("under a cloudy sky", "on a cloudy day", "under grey clouds"),
    "sunset": ("at sunset", "under an orange sky", "in the evening"),
}
_GROUND_SAID = {
    "grass": ("on the grass", "in a green field", "on a lawn"),
    "sand": ("on the sand", "on a sandy beach", "on the beach"),
    "snow": ("in the snow", "on snowy ground"),
    "road": ("on a road", "on the street", "beside the road"),
}
_NAMES = {"ball": ("ball", "beach ball"), "car": ("car", "automobile"), "house": ("house", "small house")}


@dataclass(frozen=True)
class Thing:
    """An object: what, in which colour, and in which third of the picture (0 left, 1 middle, 2 right)."""

    what: str
    colour: str
    third: int


@dataclass(frozen=True)
class Scene:
    """What a picture shows."""

    sky: str
    ground: str
    things: tuple[Thing, ...]


def scene(rng: np.random.Generator) -> Scene:
    """Two or three different objects in different thirds."""
    number = int(rng.integers(2, 4))
    kinds = [THINGS[int(place)] for place in rng.permutation(len(THINGS))[:number]]
    thirds = sorted(rng.permutation(3)[:number].tolist())
    things = tuple(
        Thing(what, {"tree": "green", "bench": "brown"}.get(what) or pick(rng, PAINTS), third)
        for what, third in zip(kinds, thirds, strict=True)
    )
    return Scene(pick(rng, SKIES), pick(rng, GROUNDS), things)


def draw(what: Scene, width: int, height: int, rng: np.random.Generator) -> Image.Image:
    """The picture of a scene."""
    horizon = round(height * rng.uniform(0.48, 0.60))
    if what.sky == "blue":
        sky = backdrop("sky", width, height, rng)
    elif what.sky == "cloudy":
        sky = blend((0.52, 0.55, 0.60), (0.80, 0.82, 0.85), smooth_noise(rng, width, height, 4, stretch=2))
    else:
        fall = np.linspace(0, 1, height, dtype=np.float32)[:, None] * 1.7
        sky = blend((0.55, 0.30, 0.50), (1.0, 0.66, 0.28), np.clip(fall + 0 * np.ones((1, width), np.float32), 0, 1))
    if what.ground == "road":
        ground = blend((0.30, 0.30, 0.32), (0.42, 0.42, 0.44), smooth_noise(rng, width, height, 40))
    else:
        ground = backdrop(what.ground, width, height, rng)
    sky[horizon:] = ground[horizon:]
    canvas = Canvas(sky, rng)
    if what.ground == "road":
        row = height * 0.93
        for start in np.arange(-0.05, 1, 0.2) * width:
            canvas.stroke([(start, row), (start + width * 0.1, row)], height * 0.018, (0.9, 0.9, 0.85), solid=False)
    size = min(width / 3, height / 2.2) * 1.02
    for thing in what.things:
        x = width * (thing.third + 0.5) / 3 + rng.uniform(-0.03, 0.03) * width
        foot = height * rng.uniform(0.76, 0.88) if thing.what != "kite" else height * rng.uniform(0.28, 0.38)
        scale = size * rng.uniform(0.88, 1.05)
        if thing.what != "kite":
            canvas.fill(oval(x, foot, scale * 0.42, scale * 0.06), shaded((0.25, 0.25, 0.22), 0.8), solid=False)
        canvas.place = _placing(x, foot, scale)
        _DRAWN[thing.what](canvas, jittered(thing.colour, rng), scale)
        canvas.place = lambda points: points
    return canvas.finish(relief=0.8, texture=0.07)


def _placing(x: float, foot: float, scale: float) -> Callable[[Points], Points]:
    return lambda points: points * scale + np.array((x, foot))


_GLASS: Colour = (0.62, 0.78, 0.88)
_DARK: Colour = (0.10, 0.10, 0.11)
_WOOD: Colour = (0.42, 0.28, 0.16)


def _house(canvas: Canvas, colour: Colour, scale: float) -> None:
    canvas.fill([(-0.40, 0), (-0.40, -0.48), (0.40, -0.48), (0.40, 0)], colour)
    canvas.fill([(-0.50, -0.46), (0.0, -0.86), (0.50, -0.46)], (0.46, 0.22, 0.16))
    canvas.fill([(-0.09, 0), (-0.09, -0.27), (0.09, -0.27), (0.09, 0)], _WOOD)
    for left in (-0.32, 0.16):
        canvas.fill([(left, -0.20), (left, -0.37), (left + 0.16, -0.37), (left + 0.16, -0.20)], _GLASS)


def _car(canvas: Canvas, colour: Colour, scale: float) -> None:
    canvas.fill(rounded([(-0.30, -0.25), (-0.20, -0.46), (0.18, -0.46), (0.32, -0.25)], 1), colour)
    canvas.fill([(-0.21, -0.27), (-0.15, -0.41), (-0.01, -0.41), (-0.01, -0.27)], _GLASS)
    canvas.fill([(0.03, -0.27), (0.03, -0.41), (0.14, -0.41), (0.22, -0.27)], _GLASS)
    canvas.fill(rounded([(-0.50, -0.08), (-0.50, -0.28), (0.50, -0.28), (0.52, -0.08)], 1), colour)
    for x in (-0.28, 0.28):
        canvas.fill(oval(x, -0.07, 0.11, 0.11), _DARK)
        canvas.fill(oval(x, -0.07, 0.05, 0.05), (0.6, 0.6, 0.6))


def _tree(canvas: Canvas, colour: Colour, scale: float) -> None:
    canvas.fill([(-0.06, 0), (-0.05, -0.50), (0.05, -0.50), (0.07, 0)], _WOOD)
    for x, y, r in ((-0.20, -0.55, 0.22), (0.20, -0.55, 0.22), (0.0, -0.80, 0.24), (0.0, -0.55, 0.22)):
        canvas.fill(oval(x, y, r, r), shaded(colour, canvas.rng.uniform(0.7, 0.95)))


def _ball(canvas: Canvas, colour: Colour, scale: float) -> None:
    canvas.fill(oval(0, -0.22, 0.22, 0.22), colour)
    canvas.fill(oval(0, -0.22, 0.22, 0.08, 0, 180), shaded(colour, 0.7 if max(colour) > 0.2 else 1.3))


def _boat(canvas: Canvas, colour: Colour, scale: float) -> None:
    canvas.fill([(-0.48, -0.20), (0.50, -0.20), (0.32, 0), (-0.32, 0)], colour)
    canvas.stroke([(0, -0.20), (0, -0.86)], scale * 0.035, _WOOD)
    canvas.fill([(0.04, -0.84), (0.04, -0.28), (0.40, -0.28)], (0.93, 0.92, 0.88))


def _kite(canvas: Canvas, colour: Colour, scale: float) -> None:
    canvas.stroke([(0, 0.22), (0.12, 0.55), (0.04, 0.85)], max(0.5, scale * 0.015), _DARK)
    canvas.fill([(0, -0.34), (0.24, -0.04), (0, 0.30), (-0.24, -0.04)], colour)
    canvas.stroke([(0, -0.34), (0, 0.30)], scale * 0.018, shaded(colour, 0.6 if max(colour) > 0.2 else 1.4))
    canvas.stroke([(-0.24, -0.04), (0.24, -0.04)], scale * 0.018, shaded(colour, 0.6 if max(colour) > 0.2 else 1.4))


def _umbrella(canvas: Canvas, colour: Colour, scale: float) -> None:
    canvas.stroke([(0, 0), (0, -0.72)], scale * 0.035, (0.75, 0.73, 0.70))
    canvas.fill(oval(0, -0.46, 0.46, 0.36, 180, 360), colour)
    canvas.fill(oval(0, -0.46, 0.16, 0.36, 180, 360), shaded(colour, 0.75 if max(colour) > 0.2 else 1.25))


def _bench(canvas: Canvas, colour: Colour, scale: float) -> None:
    for x in (-0.38, 0.38):
        canvas.stroke([(x, 0), (x, -0.46)], scale * 0.05, _DARK)
    for y in (-0.20, -0.34, -0.45):
        canvas.stroke([(-0.46, y), (0.46, y)], scale * 0.07, shaded(colour, 1.12))


_DRAWN = {
    "house": _house,
    "car": _car,
    "tree": _tree,
    "ball": _ball,
    "boat": _boat,
    "kite": _kite,
    "umbrella": _umbrella,
    "bench": _bench,
}


def captions(what: Scene, number: int, rng: np.random.Generator) -> list[str]:
    """Captions that say different true things of one scene in different words."""
    return several(lambda: _caption(what, rng), number)


def _caption(what: Scene, rng: np.random.Generator) -> str:
    def named(thing: Thing) -> str:
        noun = pick(rng, _NAMES.get(thing.what, (thing.what,)))
        plain = thing.what in ("tree", "bench") and rng.random() < 0.6
        return noun if plain else f"{spoken(rng, thing.colour)} {noun}"

    things = [what.things[int(place)] for place in rng.permutation(len(what.things))]
    first, second = sorted(things[:2], key=lambda thing: thing.third)
    sky, ground = pick(rng, _SKY_SAID[what.sky]), pick(rng, _GROUND_SAID[what.ground])
    everything = listed([a(named(thing)) for thing in things])
    standing = [thing for thing in things if thing.what != "kite"]
    side = ("left", "middle", "right")[things[0].third]
    pattern = int(rng.integers(7))
    if pattern == 0:
        return f"{a(named(first))} to the left of {a(named(second))} {sky}."
    if pattern == 1:
        return f"{a(named(second))} to the right of {a(named(first))}"
    if pattern == 2:
        return f"{a(named(standing[0]))} {ground} {sky}."
    if pattern == 3:
        return (
            f"there is {a(named(things[0]))} on the {side} of the picture"
            if side != "middle"
            else (f"there is {a(named(things[0]))} in the middle of the picture")
        )
    if pattern == 4:
        return f"a scene with {everything}."
    if pattern == 5:
        return f"a picture of {everything} {sky}"
    return f"{a(named(things[0]))} and {a(named(things[1]))} {sky}, with {what.ground} below."
