"""Verb ``sample``: the images that a run is evaluated on."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from t2i_repro.core.artefact import Node
from t2i_repro.core.npy import NpyWriter, npy_writer
from t2i_repro.core.record import Build, atomic_write
from t2i_repro.data.prepared import Prepared, write_captions
from t2i_repro.models.state import reproducible
from t2i_repro.sampling.draws import CaptionSampler
from t2i_repro.sampling.generator import GROUP, Run, load_run
from t2i_repro.sampling.grids import captioned_grid

PREVIEWS = 16


def run(node: Node, out: Path, build: Build) -> None:
    """Write ``images.npy`` (uint8 [N, S, S, 3]), ``captions.csv`` and ``preview.png``; for a system with intermediate
    images those too, as ``images-<s>.npy``.

    Image i is a function of (run, epoch of ``snapshot``, seed, i): neither N nor a batch size changes it.
    """
    prepared = Prepared(build.input("data"))
    loaded = load_run(build.input("run"), build.input("data"), build.input("text"), node.spec.get("snapshot"))
    sampler = CaptionSampler(
        prepared, node.spec["split"], loaded.spec["words"], node.spec["seed"], loaded.text.captions
    )
    count = node.spec["images"]
    preview = np.zeros((0, loaded.image_size, loaded.image_size, 3), np.uint8)
    with reproducible(), ExitStack() as files, tqdm(total=count, desc=node.name, unit="img", disable=None) as bar:
        writers: dict[int, NpyWriter] = {}
        for stages in generate(loaded, sampler, count):
            for images in stages:
                size = images.shape[1]
                if size not in writers:
                    name = "images.npy" if size == loaded.image_size else f"images-{size}.npy"
                    writers[size] = files.enter_context(npy_writer(out / name, count, np.uint8))
                writers[size].write(images)
            if len(preview) < PREVIEWS:
                preview = np.concatenate([preview, stages[-1]])[:PREVIEWS]
            bar.update(len(stages[-1]))
    captions = [sampler.caption_id(i) for i in range(count)]
    write_captions(out / "captions.csv", prepared, captions)
    shown = [prepared.caption(caption) for caption in captions[: len(preview)]]
    with atomic_write(out / "preview.png") as file:
        captioned_grid(preview, shown).save(file, "PNG")
    build.facts |= {"images": count, "device": loaded.device.type, "standin": prepared.raw_is_standin}


def generate(loaded: Run, sampler: CaptionSampler, count: int) -> Iterator[list[npt.NDArray[np.uint8]]]:
    """Images 0 .. count - 1 in groups, each at every stage."""
    for start in range(0, count, GROUP):
        yield loaded.stages(*sampler.inputs(range(start, min(start + GROUP, count)), loaded.noise_dim))
