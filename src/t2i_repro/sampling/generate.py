"""`t2i-repro generate --run RUN "a small red bird with a black wing"`: captioned pictures from a trained run."""

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

LINES = 30  # of a caption in its picture; no caption is cut short


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("captions", nargs="+", metavar="CAPTION", help="what to paint; several are painted alike")
    parser.add_argument("--run", required=True, help="a finished run: its folder in results/*/runs/, or its name")
    parser.add_argument(
        "--out", type=Path, default=Path("generated"), help="folder for the pictures; default: generated"
    )
    parser.add_argument("--count", type=int, default=1, metavar="N", help="variants of each caption, by noise")
    parser.add_argument(
        "--seed", type=int, default=0, metavar="S", help="of the noise; variant i has the same anywhere"
    )


def main(args: argparse.Namespace) -> None:
    """Write ``01-a-small-red-bird-s0-0.png`` ..., each an image with its caption, which stands in the file's metadata
    too. A picture is a function of run, caption, seed and variant.

    Raises ReproError where the run or what it reads captions with is not there, and on captions it cannot read.
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
            images = run.generate([caption] * args.count, noises(args.seed, args.count, run.noise))
        for variant, pixels in enumerate(images):
            path = args.out / f"{number:02}-{slug(caption.text)}-s{args.seed}-{variant}.png"
            write_picture(path, pixels, caption.text, f"{folder.name}, seed {args.seed}, variant {variant}")
            print(path)


def find_run(given: str) -> Path:
    """The folder of a run. Raises ReproError where none, or more than one, goes by that name."""
    if Path(given).is_dir():
        return Path(given)
    runs = sorted([*Path("results").glob("*/runs/*/record.json"), *Path("results").glob("*/outside/*/generator.pt")])
    folders = list(dict.fromkeys(path.parent for path in runs))
    found = [folder for folder in folders if folder.name == given or folder.name.rpartition("-")[0] == given]
    if len(found) != 1:
        there = ", ".join(str(folder) for folder in found or folders) or "none; `snakemake` trains them"
        raise ReproError(f"--run: {given!r} is {'no run' if not found else 'more than one run'}; there are {there}")
    return found[0]


def input_of(run: Path, record: dict[str, Any], role: str) -> Path:
    """Folder of an input of a run: as its record has it, from here or from the project that the run lies in."""
    given = record["inputs"][role]
    places = [Path(given["path"]), *(parent / given["path"] for parent in run.resolve().parents)]
    for place in places:
        if (place / "record.json").is_file() and read_record(place)["digest"] == given["digest"]:
            return place
    raise ReproError(
        f"{run}: was trained with {role} {given['path']} (digest {given['digest']}), which is not there; run "
        f"`snakemake` to build it, or `t2i-repro restore` after `dvc pull`"
    )


def read_caption(text: str, run: Run, prepared: Prepared) -> Caption:
    """A caption as the run reads it; says which of its words it cannot. Raises ReproError where it can read none."""
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
    tokens, most = prepared.encode(text, skip_unknown=True), int(run.spec["words"])
    logger = logging.getLogger(__name__)
    if unknown:
        logger.warning("caption %r: the run does not know %s; left out", text, ", ".join(unknown))
    if len(tokens) > most:
        logger.warning("caption %r: the run reads %d words; the last %d are left out", text, most, len(tokens) - most)
    return Caption(text, tokens[:most])


def noises(seed: int, count: int, length: int) -> npt.NDArray[np.float32]:
    """Noise [count, length] ~ N(0, 1), row i a function of seed and i."""
    streams = (np.random.default_rng(derive_seed(seed, "generate", variant)) for variant in range(count))
    return np.stack([stream.standard_normal(length, dtype=np.float32) for stream in streams])


def slug(text: str, most: int = 60) -> str:
    """A caption as part of a file's name: ASCII words, whole ones."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return (name if len(name) <= most else name[: most + 1].rpartition("-")[0] or name[:most]) or "caption"


def write_picture(path: Path, pixels: npt.NDArray[np.uint8], caption: str, origin: str) -> None:
    """A PNG of an image [S, S, 3] above its caption; ``Title`` and ``Description`` of its metadata say the same."""
    told = PngInfo()
    told.add_itxt("Title", caption)
    told.add_itxt("Description", f"Generated for the caption {caption!r} by {origin}")
    told.add_itxt("Software", "t2i-repro")
    with atomic_write(path) as file:
        captioned_grid(pixels[None], [caption], columns=1, lines=LINES).save(file, "PNG", pnginfo=told)
