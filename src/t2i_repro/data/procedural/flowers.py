"""Procedural flowers, for stand-ins of Oxford-102: a class is a combination of petals and centre; pictures vary in view
and background."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from t2i_repro.data.procedural.canvas import Canvas, Points, backdrop, jittered, oval, rounded, shaded
from t2i_repro.data.procedural.phrases import a, listed, pick, several, some, spoken

PETALS = ("red", "pink", "purple", "white", "yellow", "orange", "blue")
CENTRES = ("yellow", "brown", "white", "orange", "green", "black")
SHAPES = ("round", "pointed", "thin")
NUMBERS = {"five": 5, "six": 6, "eight": 8, "many": 15}
PLACES = ("leaves", "grass", "dark", "sky")

_SHAPES_SAID = {"round": ("round", "rounded"), "pointed": ("pointed", "pointy"), "thin": ("thin", "narrow")}
_SAID = {
    "leaves": ("surrounded by green leaves", "in front of green foliage"),
    "grass": ("in a green meadow", "growing in the grass"),
    "dark": ("on a dark background", "against a dark background"),
    "sky": ("under a blue sky", "against the blue sky"),
}


@dataclass(frozen=True)
class Kind:
    """What all flowers of a class share; colours are names in ``COLOURS``, ``inner`` may equal ``petal``."""

    petal: str
    inner: str
    centre: str
    shape: str
    number: str
    large_centre: bool
    layered: bool

    @property
    def name(self) -> str:
        return f"{self.number} {self.shape} {self.petal}"


def kinds(number: int, rng: np.random.Generator) -> list[Kind]:
    """``number`` different kinds; colours of the petals go round."""
    found: list[Kind] = []
    petals = [PETALS[int(place)] for place in rng.permutation(len(PETALS))]
    while len(found) < number:
        petal = petals[len(found) % len(petals)]
        candidate = Kind(
            petal=petal,
            inner=pick(rng, (petal, pick(rng, PETALS))),
            centre=pick(rng, [colour for colour in CENTRES if colour != petal]),
            shape=pick(rng, SHAPES),
            number=pick(rng, tuple(NUMBERS)),
            large_centre=bool(rng.integers(2)),
            layered=bool(rng.random() < 0.3),
        )
        if candidate not in found:
            found.append(candidate)
    return found


def draw(kind: Kind, width: int, height: int, rng: np.random.Generator) -> tuple[Image.Image, str]:
    """Picture and the place the flower is in."""
    place = pick(rng, PLACES)
    canvas = Canvas(backdrop(place, width, height, rng), rng)
    short = min(width, height)
    size = short * rng.uniform(0.36, 0.46)
    x, y = width * rng.uniform(0.42, 0.58), height * rng.uniform(0.42, 0.52)
    stalk = shaded(jittered("green", rng), 0.75)
    foot = x + short * rng.uniform(-0.15, 0.15)
    canvas.stroke([(x, y), ((x + foot) / 2 + 2, (y + height) / 2), (foot, height + 2.0)], short * 0.035, stalk)
    for side in (-1, 1):
        leaf = np.array([(0, 0), (0.18, -0.10), (0.42, -0.04), (0.20, 0.08)]) * (side * short * 0.7, short * 0.7)
        canvas.fill(rounded(leaf + np.array([(x + foot) / 2, y + size * 1.15])), jittered("green", rng))
    turn, squash = rng.uniform(0, 2 * np.pi), rng.uniform(0.72, 1.0)
    lean = np.radians(rng.uniform(-25, 25))
    spin = np.array([[np.cos(lean), -np.sin(lean)], [np.sin(lean), np.cos(lean)]])
    canvas.place = lambda points: (points * (size, size * squash)) @ spin.T + (x, y)
    petal, inner = jittered(kind.petal, rng), jittered(kind.inner, rng)
    count = NUMBERS[kind.number]
    if kind.layered:
        _ring(canvas, kind, count, turn + np.pi / count, 1.05, shaded(petal, 0.80), None)
    _ring(
        canvas, kind, count, turn, 1.0 if not kind.layered else 0.82, petal, inner if kind.inner != kind.petal else None
    )
    radius = 0.30 if kind.large_centre else 0.17
    centre = jittered(kind.centre, rng)
    canvas.fill(oval(0, 0, radius, radius), shaded(centre, 0.8))
    canvas.fill(oval(0, 0, radius * 0.86, radius * 0.86), centre)
    for _ in range(16):
        at, out = rng.uniform(0, 2 * np.pi), radius * 0.75 * np.sqrt(rng.random())
        canvas.fill(oval(out * np.cos(at), out * np.sin(at), 0.022, 0.022), shaded(centre, pick(rng, (0.65, 1.3))))
    return canvas.finish(relief=1.2), place


def _petal(shape: str, count: int) -> Points:
    """One petal of length 1 along the x axis."""
    broad = {"round": 1.25, "pointed": 0.95, "thin": 0.55}[shape] * min(0.62, 2.4 / count)
    if shape == "round":
        return rounded(
            [(0.05, 0), (0.45, broad * 0.75), (0.95, broad), (1.08, 0), (0.95, -broad), (0.45, -broad * 0.75)]
        )
    middle = [(0.05, 0.02), (0.50, broad), (0.72, broad * 0.7), (1.0, 0.015)]
    return rounded([*middle, *((across, -up) for across, up in reversed(middle))], 2)


def _ring(
    canvas: Canvas,
    kind: Kind,
    count: int,
    turn: float,
    length: float,
    colour: tuple[float, float, float],
    inner: tuple[float, float, float] | None,
) -> None:
    outline = _petal(kind.shape, count)
    for place in canvas.rng.permutation(count):
        angle = turn + 2 * np.pi * place / count + canvas.rng.normal(0, 0.03)
        spin = length * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shade = canvas.rng.uniform(0.88, 1.04)
        canvas.fill((outline * 1.05) @ spin.T, shaded(colour, 0.72))
        canvas.fill(outline @ spin.T, shaded(colour, shade))
        if inner:
            canvas.fill((outline * (0.62, 0.72)) @ spin.T, shaded(inner, shade))
        canvas.stroke(np.array([(0.2, 0.0), (0.8, 0.0)]) @ spin.T, 0.4, shaded(inner or colour, 0.78))


def captions(kind: Kind, place: str, number: int, rng: np.random.Generator) -> list[str]:
    """Captions that say different true things of one picture in different words."""
    return several(lambda: _caption(kind, place, rng), number)


def _caption(kind: Kind, place: str, rng: np.random.Generator) -> str:
    petal, centre, inner = (spoken(rng, colour) for colour in (kind.petal, kind.centre, kind.inner))
    size = pick(rng, ("large", "big") if kind.large_centre else ("small", "tiny"))
    middle = pick(rng, ("center", "middle", "stamen"))
    shape = pick(rng, _SHAPES_SAID[kind.shape])
    petals = f"{shape} {petal} petals"
    details = [a(f"{size} {centre} {middle}")]
    if kind.inner != kind.petal:
        details.append(f"{inner} color near the {pick(rng, ('center', 'middle'))}")
    if kind.layered:
        details.append("two layers of petals")
    where = pick(rng, _SAID[place])
    pattern = int(rng.integers(8))
    if pattern == 0:
        return f"this flower has {petals} and {pick(rng, details)}"
    if pattern == 1:
        return f"{a(f'{petal} flower')} with {kind.number} {shape} petals and {pick(rng, details)}."
    if pattern == 2:
        return f"the petals of this flower are {petal} and {shape}, and the {middle} is {centre}"
    if pattern == 3:
        return f"{where}, {a(f'{petal} flower')} with {listed(some(rng, details, 1, 3))}"
    if pattern == 4:
        around = pick(rng, ("around", "surrounding"))
        return f"a flower with {kind.number} {petals} {around} {a(f'{size} {centre} {middle}')}."
    if pattern == 5:
        return f"this {petal} flower has {kind.number} petals that are {shape}, with {listed(some(rng, details, 1, 2))}"
    if pattern == 6:
        return f"{a(f'{petal} flower')} {where}, its {middle} is {size} and {centre}."
    return f"the flower shown has {listed([petals, *some(rng, details, 1, 2)])}"
