"""Verb `import`: convert images that others generated, or a run trained elsewhere, to this project's artefacts.

Samples become ``images.npy`` and, with captions, ``captions.csv``, as `sample` writes them; of a run the files that its
record names are copied. Needs no torch.
"""

import shutil
from pathlib import Path

import numpy as np
from tqdm import tqdm

from t2i_repro.core.artefact import Node
from t2i_repro.core.files import hash_files
from t2i_repro.core.npy import npy_writer
from t2i_repro.core.record import Build, read_record
from t2i_repro.data.captions import tokenise
from t2i_repro.data.manifest import content_digest
from t2i_repro.data.prepared import Prepared, write_captions
from t2i_repro.errors import ReproError
from t2i_repro.metrics.sources import LOSSLESS, LOSSY, Source, open_source, read_captions

BLOCK = 64  # images read at a time
RESUMES = ("checkpoint.pt",)  # only needed to resume the training


def run(node: Node, out: Path, build: Build) -> None:
    """Build an `import-samples` or an `import-run`. Raises ReproError if the content is not the planned one."""
    path = Path(node.locations["path"])
    if node.kind == "import-samples":
        check_content(path, node.spec["content"])
        import_samples(node, path, out, build)
    else:
        check_content(path / "record.json", node.spec["checkpoint"])
        import_run(node, path, out, build)


def check_content(path: Path, planned: str) -> None:
    found = content_digest(path, suffixes=LOSSLESS + LOSSY)
    if found != planned:
        raise ReproError(f"{path}: has changed since the plan: SHA-256 {found}, planned {planned}; plan again")


def import_samples(node: Node, path: Path, out: Path, build: Build) -> None:
    """``images.npy`` uint8 [N, S, S, 3] in the order of the files' names (of an array: of its rows)."""
    spec, source, data = node.spec, open_source(path), Prepared(build.input("data"))
    if len(source) != spec["images"]:
        raise ReproError(
            f"{path}: {len(source)} images; params.yaml asks {spec['images']} (sample.images). A number at another N "
            f"is another number; ask its maker for as many, or set sample.images for a scale of its own"
        )
    if source.lossy and not spec["lossy"]:
        raise ReproError(
            f"{path}: {source.lossy} of {len(source)} images are in lossy formats, which changes scores; ask for PNG, "
            f"or say `lossy: true` in params.yaml: outside"
        )
    if spec["captions"] is not None:
        captions = captions_of(Path(node.locations["captions"]), spec, source, data)
        write_captions(out / "captions.csv", data, captions)
    write_images(out / "images.npy", source, spec["image_size"], node.name)
    build.facts |= {
        "images": len(source),
        "captions": spec["captions"] is not None,
        "duplicates": source.duplicates,
        "lossy": source.lossy,
        "standin": data.raw_is_standin,
    }


def write_images(path: Path, source: Source, side: int, title: str) -> None:
    """All images, a block in memory at a time. Raises ReproError on another size than ``side``."""
    bar = tqdm(total=len(source), desc=title, unit="img", disable=None)
    with npy_writer(path, len(source), np.uint8) as images, bar:
        for start in range(0, len(source), BLOCK):
            block = source.read(start, min(start + BLOCK, len(source)), None)
            if block.shape[1] != side:
                raise ReproError(
                    f"{source.path}: images of {block.shape[1]} px; expected {side} px. If that is how they were "
                    f"generated, say `image_size: {block.shape[1]}` in params.yaml: outside"
                )
            images.write(block)
            bar.update(len(block))


def captions_of(path: Path, spec: dict[str, object], source: Source, data: Prepared) -> list[int]:
    """The caption of ``data`` that each sample was made from, found by its words among the captions of the split.

    Raises ReproError on captions of no image of that split.
    """
    check_content(path, str(spec["captions"]))
    known: dict[tuple[str, ...], int] = {}
    for image in data.splits[str(spec["split"])]:
        for caption in data.caption_ids(int(image)):
            known.setdefault(tuple(tokenise(data.caption(caption))), caption)
    texts = [text for text, _ in read_captions(path, source)]
    found = [known.get(tuple(tokenise(text))) for text in texts]
    unknown = [text for text, caption in zip(texts, found, strict=True) if caption is None]
    if unknown:
        raise ReproError(
            f"{path}: {len(unknown)} of {len(texts)} captions are none of the split {spec['split']}, such as "
            f"{unknown[0]!r}; give those the images were made from, or leave `captions` out of params.yaml: outside"
        )
    return [caption for caption in found if caption is not None]


def import_run(node: Node, path: Path, out: Path, build: Build) -> None:
    """The files of a finished run, each checked against the run's own record, without what only resuming needs."""
    record = read_record(path)
    required = ["generator.pt", *(["text_encoder.pt"] if node.spec["system"].get("text") == "tuned" else [])]
    absent = [name for name in required if not (path / name).is_file()]
    if absent:
        raise ReproError(f"{path}: {', '.join(absent)} is not there; expected the folder of a finished run")
    present = {name: file for name, file in hash_files(path).items() if name != "record.json"}
    wrong = sorted(name for name, file in present.items() if record["files"].get(name) != file)
    if wrong:
        raise ReproError(f"{path}: not what its record says: {', '.join(wrong)}. Fetch it again.")
    for name in present:
        if name not in RESUMES:
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path / name, out / name)
    trained = {key: record.get(key) for key in ("digest", "code", "hardware", "finished", "wall_seconds")}
    build.facts |= {**record["facts"], "trained": trained}
