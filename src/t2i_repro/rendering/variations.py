"""One system and one thing that varies: the words, the sentence, the noise."""

import difflib
from pathlib import Path

import numpy as np

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import Build
from t2i_repro.errors import ReproError
from t2i_repro.rendering.painters import Cast, Sentence
from t2i_repro.rendering.pictures import Grid, Picture, Row, draw_grid
from t2i_repro.rendering.told import Told, heading, registry_notes

NOISES, STEPS = 4, 8  # where the registry gives no number


def words(node: Node, out: Path, build: Build) -> Told:
    """A row per sentence, a column per noise; the noises are the same for all sentences of a group.

    With ``masks`` the last mask stands before each image. Raises ReproError where the run has none.
    """
    cast, noises = Cast.of(node, build), node.spec.get("noises", NOISES)
    painter, masked = cast.first, node.spec.get("masks", False)
    rows: list[Row] = []
    drawn: list[Sentence] = []
    for number, group in enumerate(node.spec["groups"]):
        noise = painter.noise(range(number * noises, (number + 1) * noises))
        for place, text in enumerate(group):
            sentence = Sentence(text)
            if not cast.can_read(sentence):
                continue
            images, masks = painter.run.generate_with_masks([painter.caption(sentence)] * noises, noise)
            if masked and not masks:
                raise ReproError(f"{node.name}: system {node.spec['system']!r} predicts no masks; drop `masks`")
            pictures = []
            for column in range(noises):
                if masked:
                    pictures.append(Picture(masks[-1][column, 0].float().cpu().numpy()))
                pictures.append(Picture(images[column]))
            small = [*([changed(group[0], text)] if place else []), *cast.unread(sentence)]
            rows.append(Row(text, pictures, small, apart=place == 0))
            drawn.append(sentence)
    if not rows:
        raise ReproError(f"{node.name}: the run can read none of its sentences; change `groups`")
    names = ("mask", "image") if masked else ("",)
    columns = [(f"noise {column + 1}", name) for column in range(noises) for name in names]
    same = "between two lines " if len(node.spec["groups"]) > 1 else ""
    notes = [heading(node), f"The sentences {same}are painted with the same noises."]
    if masked:
        notes.append("Left of each image its last mask, from its least value (black) to its greatest (white).")
    notes += [*registry_notes(node), *cast.notes([text for group in node.spec["groups"] for text in group])]
    draw_grid(Grid(columns, rows, notes), out)
    what = "Generated images, each with its last mask" if masked else "Generated images"
    alt = f"{what}, for {noises} noises and each of {len(rows)} sentences that differ in words: "
    return Told(alt + "; ".join(row.text for row in rows), notes, [cast.told(sentence) for sentence in drawn])


def changed(first: str, text: str) -> str:
    """Which words of ``first`` stand otherwise in ``text``: `brown → blue`."""
    before, after = first.split(), text.split()
    found = difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    return ", ".join(
        f"{' '.join(before[a:b]) or '(nothing)'} → {' '.join(after[c:d]) or '(nothing)'}"
        for kind, a, b, c, d in found
        if kind != "equal"
    )


def interpolation(node: Node, out: Path, build: Build) -> Told:
    """A row per pair of sentences: from the one to the other in equal steps of the embedding, with one noise."""
    cast, steps = Cast.of(node, build), node.spec.get("steps", STEPS)
    painter = cast.first
    rows, told = [], []
    weights = np.linspace(0, 1, steps).tolist()
    for number, (first, last) in enumerate(node.spec["pairs"]):
        ends = [Sentence(first), Sentence(last)]
        if not all(cast.can_read(end) for end in ends):
            continue
        start, stop = (painter.caption(end) for end in ends)
        images = painter.run.between(start, stop, weights, painter.noise([number])[0])
        rows.append(Row(f"from: {first}", [Picture(image) for image in images], [f"to: {last}"], apart=True))
        told += [cast.told(end) for end in ends]
    if not rows:
        raise ReproError(f"{node.name}: the run can read none of its sentences; change `pairs`")
    columns = [(f"{100 * weight:.0f}%", "") for weight in weights]
    notes = [
        heading(node),
        "Percentages: weight of the second sentence's embedding, the first has the rest. One noise per row.",
        *registry_notes(node),
        *cast.notes([text for pair in node.spec["pairs"] for text in pair]),
    ]
    draw_grid(Grid(columns, rows, notes), out)
    pairs = "; ".join(f"{row.text}, {row.small[0]}" for row in rows)
    alt = f"{steps} generated images for each of {len(rows)} pairs of sentences: {pairs}"
    return Told(alt, notes, told)


def noise_grid(node: Node, out: Path, build: Build) -> Told:
    """A grid per caption: a row per epsilon of conditioning augmentation, a column per z.

    Raises ReproError where the generator draws no epsilon.
    """
    cast, noises = Cast.of(node, build), node.spec.get("noises", NOISES)
    painter, sentences = cast.first, cast.sentences(node)
    length, z = painter.run.noise, painter.run.z
    if z == length:
        raise ReproError(
            f"{node.name}: system {node.spec['system']!r} draws no epsilon; name one with conditioning augmentation"
        )
    rows = []
    for number, sentence in enumerate(sentences):
        drawn = painter.noise(range(number * noises, (number + 1) * noises))
        # entry [row, column]: the z of the column, the epsilon of the row
        mixed = np.concatenate([np.tile(drawn[:, :z], (noises, 1)), np.repeat(drawn[:, z:], noises, axis=0)], axis=1)
        images = painter.run.generate([painter.caption(sentence)] * len(mixed), mixed)
        for row in range(noises):
            pictures = [Picture(image) for image in images[row * noises : (row + 1) * noises]]
            text, unread = ("", []) if row else (sentence.text, cast.unread(sentence))
            rows.append(Row(text, pictures, [*unread, f"ε {row + 1}"], apart=row == 0))
    columns = [(f"z {column + 1}", "") for column in range(noises)]
    notes = [
        heading(node),
        "z: the noise vector. ε: the noise of conditioning augmentation. Nothing else varies.",
        *registry_notes(node),
        *cast.notes(node.spec.get("captions", [])),
    ]
    draw_grid(Grid(columns, rows, notes), out)
    captions = "; ".join(sentence.text for sentence in sentences)
    alt = f"{noises} by {noises} generated images, by z and ε, for each of {len(sentences)} captions: {captions}"
    return Told(alt, notes, [cast.told(sentence) for sentence in sentences])
