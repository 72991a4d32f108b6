"""Verb ``sample``: the images a run is judged by."""

import csv
import io
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import Build, atomic_write, storage
from t2i_repro.data.prepared import Prepared
from t2i_repro.models.state import reproducible
from t2i_repro.sampling.draws import Draws
from t2i_repro.sampling.generator import Run, load_run
from t2i_repro.sampling.grids import captioned_grid
from t2i_repro.sampling.painting import GROUP

PREVIEWS = 16
COLUMNS = ("index", "image_id", "caption_id", "caption")


def run(node: Node, out: Path, build: Build) -> None:
    """Write ``images.npy`` (uint8 [N, S, S, 3]), ``captions.csv`` and ``preview.png``; where a system paints smaller
    images on the way, those too, as ``images-<s>.npy``.

    Image i is a function of (run, epoch of ``snapshot``, seed, i): neither N nor a batch size changes it.
    """
    prepared = Prepared(build.input("data"))
    loaded = load_run(build.input("run"), build.input("data"), build.input("text"), node.spec.get("snapshot"))
    draws = Draws(prepared, node.spec["split"], loaded.spec["words"], node.spec["seed"], loaded.text.captions)
    count = node.spec["images"]
    shown = np.zeros((0, loaded.image_size, loaded.image_size, 3), np.uint8)
    with reproducible(), ExitStack() as files, tqdm(total=count, desc=node.name, unit="img", disable=None) as bar:
        opened: dict[int, IO[bytes]] = {}
        for stages in generate(loaded, draws, count):
            for images in stages:
                side = images.shape[1]
                if side not in opened:
                    path = out / ("images.npy" if side == loaded.image_size else f"images-{side}.npy")
                    files.enter_context(storage(path))
                    opened[side] = files.enter_context(atomic_write(path))
                    header = {"descr": "|u1", "fortran_order": False, "shape": (count, side, side, 3)}
                    np.lib.format.write_array_header_1_0(opened[side], header)
                opened[side].write(images.tobytes())
            if len(shown) < PREVIEWS:
                shown = np.concatenate([shown, stages[-1]])[:PREVIEWS]
            bar.update(len(stages[-1]))
    write_captions(out / "captions.csv", prepared, draws, count)
    captions = [prepared.caption(draws.caption_id(i)) for i in range(len(shown))]
    with atomic_write(out / "preview.png") as file:
        captioned_grid(shown, captions).save(file, "PNG")
    build.facts |= {"images": count, "device": loaded.device.type, "standin": prepared.raw_is_standin}


def generate(loaded: Run, draws: Draws, count: int) -> Iterator[list[npt.NDArray[np.uint8]]]:
    """Images 0 .. count - 1 in groups, each at every stage."""
    for start in range(0, count, GROUP):
        yield loaded.stages(*draws.inputs(range(start, min(start + GROUP, count)), loaded.noise))


def write_captions(path: Path, prepared: Prepared, draws: Draws, count: int) -> None:
    """One row per image: which caption of which image it was made from."""
    with atomic_write(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for index in range(count):
            caption = draws.caption_id(index)
            image = prepared.image_ids[prepared.caption_image[caption]]
            writer.writerow((index, image, caption, prepared.caption(caption)))
        text.detach()
