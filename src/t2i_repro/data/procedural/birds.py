"""Procedural birds, for stand-ins of CUB: a class is a combination of colours and shapes; pictures vary in pose and
background."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from t2i_repro.data.procedural.canvas import COLOURS, Canvas, Points, backdrop, jittered, oval, rounded, shaded
from t2i_repro.data.procedural.phrases import a, listed, pick, several, some, spoken

BODIES = ("red", "blue", "yellow", "brown", "green", "grey", "white", "black", "orange")
BEAKS = ("orange", "black", "yellow", "grey", "red")
BEAK_SHAPES = ("short", "long", "curved")
PLACES = ("branch", "grass", "water", "sky", "snow", "sand")

_SAID = {
    "branch": ("on a branch", "on a twig", "in a tree"),
    "grass": ("in the grass", "on the grass", "on a lawn"),
    "water": ("on the water", "in the water", "on a lake"),
    "sky": ("in the sky", "in the air", "against the sky"),
    "snow": ("in the snow", "on snow"),
    "sand": ("on the sand", "on a beach"),
}
_DOING = {"water": ("swimming", "floating"), "sky": ("flying", "soaring"), "branch": ("sitting", "perched")}


@dataclass(frozen=True)
class Species:
    """What all birds of a class share; colours are names in ``COLOURS``."""

    body: str
    belly: str
    wing: str
    crown: str
    beak: str
    beak_shape: str
    large: bool
    spots: bool
    bars: bool

    @property
    def name(self) -> str:
        return "_".join(word.capitalize() for word in (self.crown, self.body, self.belly, "bird"))


def species(number: int, rng: np.random.Generator) -> list[Species]:
    """``number`` different species. Colours of the body go round, so that few classes already show them all."""
    found: list[Species] = []
    bodies = [BODIES[int(place)] for place in rng.permutation(len(BODIES))]
    while len(found) < number:
        body = bodies[len(found) % len(bodies)]
        wing = pick(rng, (body, pick(rng, BODIES)))
        candidate = Species(
            body=body,
            belly=pick(rng, [colour for colour in BODIES if colour != body]),
            wing=wing,
            crown=pick(rng, (body, pick(rng, BODIES))),
            beak=pick(rng, BEAKS),
            beak_shape=pick(rng, BEAK_SHAPES),
            large=bool(rng.integers(2)),
            spots=bool(rng.random() < 0.25),
            bars=bool(rng.random() < 0.35) and wing != "white",
        )
        if candidate not in found:
            found.append(candidate)
    return found


def draw(kind: Species, width: int, height: int, rng: np.random.Generator) -> tuple[Image.Image, str, Points]:
    """Picture, the place the bird is in, and its box (x, y, width, height)."""
    place = pick(rng, PLACES)
    canvas = Canvas(backdrop("leaves" if place == "branch" else place, width, height, rng), rng)
    short = min(width, height)
    size = short * rng.uniform(0.50, 0.62)
    x, y = width * rng.uniform(0.44, 0.56), height * rng.uniform(0.47, 0.56)
    turn = np.radians(rng.uniform(-22, 6) if place != "water" else rng.uniform(-8, 2))
    mirror = -1 if rng.integers(2) else 1
    matrix = size * np.array([[mirror * np.cos(turn), mirror * -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    head = (0.37, -0.31, 0.155) if kind.large else (0.30, -0.24, 0.20)
    plump = 0.25 if kind.large else 0.29

    if place == "branch":
        drop, thick = size * (plump + 0.20), short * rng.uniform(0.035, 0.055)
        ends = [(-5.0, y + drop + rng.uniform(-8, 8)), (x, y + drop), (width + 5.0, y + drop + rng.uniform(-8, 8))]
        canvas.stroke(ends, thick, shaded(COLOURS["brown"], rng.uniform(0.6, 0.85)), solid=False)
    canvas.place = lambda points: points @ matrix.T + (x, y)
    _draw_bird(canvas, kind, place, head, plump, size)
    box = np.array(canvas.bounds(), dtype=np.float64)
    if place == "water":
        canvas.place = lambda points: points
        level = y + size * plump * 0.72
        waves = [(at, level + short * 0.012 * np.sin(at * 0.35 + x)) for at in np.arange(-4.0, width + 8, 4)]
        bottom = backdrop("water", width, height, rng)[-1].mean(0)
        colour = (float(bottom[0]), float(bottom[1]), float(bottom[2]))
        canvas.fill([*waves, (width + 8.0, height + 1.0), (-4.0, height + 1.0)], colour, solid=False)
        for _ in range(9):
            left, row = rng.uniform(0, width), rng.uniform(level + 3, height + 2)
            canvas.stroke([(left, row), (left + short * 0.22, row)], short * 0.012, shaded(colour, 1.18), False)
        box[3] = min(box[3], level + short * 0.01 - box[1])
    return canvas.finish(), place, box


def _draw_bird(
    canvas: Canvas, kind: Species, place: str, head: tuple[float, float, float], plump: float, size: float
) -> None:
    """The bird in its own coordinates: body of length 1 around 0, facing right."""
    rng, (hx, hy, hr) = canvas.rng, head
    body, belly = jittered(kind.body, rng), jittered(kind.belly, rng)
    wing, beak = jittered(kind.wing, rng), jittered(kind.beak, rng)
    crown = jittered(kind.crown, rng)
    tail = rng.uniform(0.18, 0.28)
    if place not in ("water", "sky"):
        for foot in (-0.02, 0.10):
            canvas.stroke([(foot, plump * 0.8), (foot + 0.02, plump + 0.21)], size * 0.028, (0.28, 0.22, 0.18))
    if place == "sky":
        far = rounded([(0.10, -0.10), (-0.02, -0.50), (-0.20, -0.66), (-0.30, -0.40), (-0.22, -0.05)])
        canvas.fill(far, shaded(wing, 0.72))
    canvas.fill(
        rounded([(-0.34, -0.07), (-0.52 - tail, -0.01), (-0.55 - tail, 0.10), (-0.34, 0.12)], 1), shaded(wing, 0.85)
    )
    canvas.fill(_beak(kind.beak_shape, hx + hr * 0.75, hy + hr * 0.15), beak)
    back = [(-0.52, 0.04), (-0.26, -plump * 0.85), (0.04, -plump), (hx - hr * 0.85, hy + 0.02)]
    front = [(hx + hr * 0.55, hy + hr), (0.46, -0.01), (0.30, plump), (0.0, plump * 1.1), (-0.34, plump * 0.6)]
    canvas.fill(rounded([*back, *front]), body)
    canvas.fill(oval(hx, hy, hr, hr), body)
    chest = [(hx + hr * 0.35, hy + hr * 1.05), (0.46, -0.01), (0.30, plump), (0.0, plump * 1.1), (-0.34, plump * 0.6)]
    canvas.fill(rounded([*chest, (-0.12, plump * 0.25), (0.14, -0.02)]), belly)
    if kind.spots:
        dot = (0.12, 0.10, 0.10) if kind.belly not in ("black", "brown") else (0.93, 0.92, 0.88)
        for at, up in ((0.33, 0.10), (0.24, 0.30), (0.30, 0.62), (0.12, 0.55), (0.05, 0.85), (-0.1, 0.7), (0.18, 0.85)):
            canvas.fill(oval(at, up * plump, 0.024, 0.030), dot)
    if kind.crown != kind.body:
        canvas.fill(oval(hx, hy, hr * 1.04, hr * 1.04, 172, 368), crown)
    _wing(canvas, place, wing, kind.bars, size)
    white = (0.96, 0.96, 0.94)
    ex, ey = hx + hr * 0.35, hy - hr * 0.05
    canvas.fill(oval(ex, ey, hr * 0.27, hr * 0.27), white)
    canvas.fill(oval(ex, ey, hr * 0.20, hr * 0.20), (0.03, 0.03, 0.04))
    canvas.fill(oval(ex + hr * 0.06, ey - hr * 0.07, hr * 0.06, hr * 0.06), white)


def _wing(canvas: Canvas, place: str, colour: tuple[float, float, float], bars: bool, size: float) -> None:
    if place == "sky":
        outline = [(0.18, -0.06), (0.10, -0.42), (-0.12, -0.78), (-0.30, -0.72), (-0.34, -0.34), (-0.26, 0.02)]
        quills = [[(0.0, -0.12), (-0.10, -0.60)], [(-0.10, -0.10), (-0.20, -0.56)], [(-0.19, -0.08), (-0.27, -0.44)]]
        bar = [[(0.10, -0.26), (-0.26, -0.22)], [(0.06, -0.44), (-0.28, -0.38)]]
    else:
        outline = [
            (0.22, -0.10),
            (0.06, -0.21),
            (-0.26, -0.15),
            (-0.72, 0.10),
            (-0.36, 0.14),
            (0.0, 0.12),
            (0.17, 0.03),
        ]
        quills = [[(-0.08, -0.04), (-0.50, 0.06)], [(-0.06, 0.02), (-0.42, 0.10)], [(-0.10, -0.10), (-0.44, 0.0)]]
        bar = [[(0.07, -0.14), (-0.02, 0.09)], [(-0.05, -0.15), (-0.14, 0.10)]]
    canvas.fill(rounded(outline), colour)
    for quill in quills:
        canvas.stroke(quill, size * 0.016, shaded(colour, 0.72 if max(colour) > 0.2 else 1.25))
    if bars:
        for line in bar:
            canvas.stroke(line, size * 0.034, (0.95, 0.95, 0.93))


def _beak(shape: str, x: float, y: float) -> Points:
    if shape == "short":
        return np.array([(x, y - 0.075), (x + 0.20, y + 0.02), (x, y + 0.075)])
    if shape == "long":
        return np.array([(x, y - 0.06), (x + 0.46, y + 0.03), (x, y + 0.06)])
    return np.array(
        [
            (x, y - 0.07),
            (x + 0.16, y - 0.06),
            (x + 0.28, y + 0.02),
            (x + 0.31, y + 0.17),
            (x + 0.20, y + 0.07),
            (x, y + 0.08),
        ]
    )


def captions(kind: Species, place: str, number: int, rng: np.random.Generator) -> list[str]:
    """Captions that say different true things of one picture in different words."""
    return several(lambda: _caption(kind, place, rng), number)


def _caption(kind: Species, place: str, rng: np.random.Generator) -> str:
    size = pick(rng, ("large", "big") if kind.large else ("small", "little", "tiny"))
    body, wing, beak = spoken(rng, kind.body), spoken(rng, kind.wing), spoken(rng, kind.beak)
    belly, crown = spoken(rng, kind.belly), spoken(rng, kind.crown)
    below = pick(rng, ("belly", "breast", "underside"))
    bill = pick(rng, ("beak", "bill"))
    top = pick(rng, ("crown", "cap")) if kind.crown != kind.body else "head"
    wings = f"{wing} wings with white bars" if kind.bars and rng.random() < 0.6 else f"{wing} wings"
    spotted = f"{belly} {below} with spots" if kind.spots and rng.random() < 0.6 else f"{belly} {below}"
    parts = [a(spotted), wings, a(f"{crown} {top}"), a(f"{kind.beak_shape} {beak} {bill}")]
    where = pick(rng, _SAID[place])
    doing = pick(rng, _DOING.get(place, ("standing", "sitting")))
    pattern = int(rng.integers(10))
    if pattern == 0:
        return f"this bird has {listed([a(f'{body} body'), *some(rng, parts, 1, 2)])}"
    if pattern == 1:
        return f"{a(f'{size} {body} bird')} with {listed(some(rng, parts, 1, 3))}"
    if pattern == 2:
        return f"the bird is {body} with {listed(some(rng, parts, 1, 2))}."
    if pattern == 3:
        said = [f"its {below} is {belly}", f"its wings are {wing}", f"its {top} is {crown}", f"its {bill} is {beak}"]
        return f"this {size} bird is mostly {body}, {listed(some(rng, said, 1, 3))}."
    if pattern == 4:
        return f"{doing} {where}, this {body} bird has {listed(some(rng, parts, 1, 2))}"
    if pattern == 5:
        return f"{a(f'{size} bird')} that is {body} and {belly} and has {listed(some(rng, parts[1:], 1, 2))}"
    if pattern == 6:
        back = f"the {pick(rng, ('back', 'body'))} of this bird is {body}"
        return f"{back} while the {below} is {belly} and the {bill} is {kind.beak_shape} and {beak}."
    if pattern == 7:
        return f"{a(f'{body} bird')} {doing} {where} with {listed(some(rng, parts, 1, 2))}"
    if pattern == 8:
        return f"this is {a(f'{size} {body} bird')} {where}, it has {listed(some(rng, parts, 1, 2))}."
    coat = pick(rng, (f"{a(body)} body", f"{body} feathers", f"{body} plumage"))
    return f"a {size} bird with {coat}, {listed(some(rng, parts, 2, 4))}"
