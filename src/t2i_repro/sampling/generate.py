"""`t2i-repro generate --run RUN "a small red bird with a black wing"`: captioned images from a trained run."""

import argparse
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL.PngImagePlugin import PngInfo

from t2i_repro.core.digest import derive_seed
from t2i_repro.core.record import atomic_write, read_record
from t2i_repro.data.captions import tokenise
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.models.state import reproducible
from t2i_repro.sampling.generator import Run, load_run
from t2i_repro.sampling.grids import captioned_grid
from t2i_repro.sampling.text import Caption

LINES = 30  # limit of a caption in its image, so high that none is shortened


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("captions", nargs="+", metavar="CAPTION", help="one or more; all use the same noise")
    parser.add_argument("--run", required=True, help="a finished run: its folder in results/*/runs/, or its name")
    parser.add_argument("--out", type=Path, default=Path("generated"), help="folder for the images; default: generated")
    parser.add_argument("--count", type=int, default=1, metavar="N", help="images of each caption")
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="S",
        help="of the noise; image i of every caption has the same",
    )


def main(args: argparse.Namespace) -> None:
    """Write ``01-a-small-red-bird-s0-0.png`` ..., each an image with its caption below it and in the file's metadata.
    A file is a function of run, caption, seed and variant.

    Raises ReproError if the run, its data or its text encoder is missing, and on captions that it cannot read.
    """
    if args.count < 1:
        raise ReproError(f"--count: found {args.count}; expected at least 1")
    folder = find_run(args.run)
    record = read_record(folder)
    if record["kind"] not in ("train", "import-run"):
        raise ReproError(f"{folder}: is a {record['kind']} artefact; give the folder of a run, in results/*/runs/")
    data, text = (input_of(folder, record, role) for role in ("data", "text"))
    run, prepared = load_run(folder, data, text), Prepared(data)
    captions = [read_caption(caption, run, prepared) for caption in args.captions]
    args.out.mkdir(parents=True, exist_ok=True)
    for number, caption in enumerate(captions, 1):
        with reproducible():
            images = run.generate([caption] * args.count, noises(args.seed, args.count, run.noise_dim))
        for variant, pixels in enumerate(images):
            path = args.out / f"{number:02}-{slug(caption.text)}-s{args.seed}-{variant}.png"
            write_picture(path, pixels, caption.text, f"{folder.name}, seed {args.seed}, variant {variant}")
            print(path)


def find_run(name: str) -> Path:
    """The folder of a run. Raises ReproError if no run, or more than one, has that name."""
    if Path(name).is_dir():
        return Path(name)
    runs = sorted([*Path("results").glob("*/runs/*/record.json"), *Path("results").glob("*/outside/*/generator.pt")])
    folders = list(dict.fromkeys(path.parent for path in runs))
    found = [folder for folder in folders if name in (folder.name, folder.name.rpartition("-")[0])]
    if len(found) != 1:
        there = ", ".join(str(folder) for folder in found or folders) or "none; `snakemake` trains them"
        raise ReproError(f"--run: {name!r} is {'no run' if not found else 'more than one run'}; there are {there}")
    return found[0]


def input_of(run: Path, record: dict[str, Any], role: str) -> Path:
    """Folder of an input of a run: its recorded path, relative to the current folder or to a parent of the run's."""
    path, digest = record["inputs"][role]["path"], record["inputs"][role]["digest"]
    for folder in [Path(path), *(parent / path for parent in run.resolve().parents)]:
        if (folder / "record.json").is_file() and read_record(folder)["digest"] == digest:
            return folder
    raise ReproError(
        f"{run}: was trained with {role} {path} (digest {digest}), which is not there; run "
        f"`snakemake` to build it, or `t2i-repro restore` after `dvc pull`"
    )


def read_caption(text: str, run: Run, prepared: Prepared) -> Caption:
    """A caption as the run reads it; warns about words that it leaves out. Raises ReproError if it can read none."""
    words = tokenise(text)
    if not words:
        raise ReproError(f"caption {text!r}: found no word in it")
    if run.text.reads_any_word:
        return Caption(text, np.zeros(0, dtype=np.int64))
    known = set(prepared.vocabulary)
    unknown = [word for word in dict.fromkeys(words) if word not in known]
    if len(unknown) == len(set(words)):
        raise ReproError(
            f"caption {text!r}: the run knows none of its words; its {len(prepared.vocabulary) - 1} are listed in "
            f"{prepared.folder / 'vocabulary.json'}"
        )
    tokens, limit = prepared.encode(text, skip_unknown=True), int(run.spec["words"])
    logger = logging.getLogger(__name__)
    if unknown:
        logger.warning("caption %r: the run does not know %s; left out", text, ", ".join(unknown))
    if len(tokens) > limit:
        logger.warning("caption %r: the run reads %d words; the last %d are left out", text, limit, len(tokens) - limit)
    return Caption(text, tokens[:limit])


def noises(seed: int, count: int, noise_dim: int) -> npt.NDArray[np.float32]:
    """Noise [count, noise_dim] ~ N(0, 1), row i a function of seed and i."""
    streams = (np.random.default_rng(derive_seed(seed, "generate", variant)) for variant in range(count))
    return np.stack([stream.standard_normal(noise_dim, dtype=np.float32) for stream in streams])


def slug(text: str, most: int = 60) -> str:
    """A caption as part of a file name: as many of its words as fit, in ASCII."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return (name if len(name) <= most else name[: most + 1].rpartition("-")[0] or name[:most]) or "caption"


def write_picture(path: Path, pixels: npt.NDArray[np.uint8], caption: str, origin: str) -> None:
    """A PNG of an image [S, S, 3] above its caption, which is in ``Title`` and ``Description`` of its metadata too."""
    metadata = PngInfo()
    metadata.add_itxt("Title", caption)
    metadata.add_itxt("Description", f"Generated for the caption {caption!r} by {origin}")
    metadata.add_itxt("Software", "t2i-repro")
    with atomic_write(path) as file:
        captioned_grid(pixels[None], [caption], columns=1, lines=LINES).save(file, "PNG", pnginfo=metadata)
