"""Verb ``export``: samples as a folder of PNG files, for other people's tools."""

import argparse
import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from t2i_repro.core.record import atomic_write, read_record, storage
from t2i_repro.errors import ReproError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--samples", type=Path, required=True, help="folder of a finished `sample` artefact")
    parser.add_argument("--to", type=Path, required=True, help="folder to write to; new or empty")


def main(args: argparse.Namespace) -> None:
    """Write ``000000.png`` ... by the image's index, and ``captions.csv``.

    Raises ReproError if the samples are not complete or the target has files already.
    """
    if (kind := read_record(args.samples)["kind"]) != "sample":
        raise ReproError(f"{args.samples}: is a {kind} artefact; expected a sample, in results/*/samples/")
    args.to.mkdir(parents=True, exist_ok=True)
    if any(args.to.iterdir()):
        raise ReproError(f"{args.to}: is not empty; choose a new folder, so that old and new images do not mix")
    images = np.load(args.samples / "images.npy", mmap_mode="r")
    digits = max(6, len(str(len(images) - 1)))
    for index, pixels in enumerate(tqdm(images, desc="export", unit="img", disable=None)):
        path = args.to / f"{index:0{digits}d}.png"
        with atomic_write(path) as file:
            Image.fromarray(np.asarray(pixels)).save(file, "PNG")
    with storage(args.to):
        shutil.copyfile(args.samples / "captions.csv", args.to / "captions.csv")
