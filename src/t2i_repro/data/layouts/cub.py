"""CUB-200-2011 with the captions of Reed et al."""

from pathlib import Path

from t2i_repro.data.layout import Layout, RawImage, RawIndex, Release, StandinSize, join, need, read_text, walk
from t2i_repro.data.procedural.cub import write_cub
from t2i_repro.data.reed import caption_folder, class_splits, split_files
from t2i_repro.errors import ReproError

CAPTIONS = ("text_c10", "text", "../cvpr2016_cub/text_c10", "../text_c10")
SPLITS = ("t2i_class_split", "class_split", ".", "../cvpr2016_cub", "..")
INDICES = ("images.txt", "image_class_labels.txt", "bounding_boxes.txt", "classes.txt")

RELEASE = Release(
    images={"train": 8_855, "test": 2_933},
    classes={"train": 150, "test": 50},
    captions_per_image=10,
    names=None,  # no official list of names is at hand
    source=(
        "SSA-GAN, Sec. 4 (8,855 images of 150 species and 2,933 of 50, with 10 captions each); HDGAN, Sec. 4 (11,788 "
        "images of 200 species)"
    ),
)


class Cub(Layout):
    name = "cub"
    folder = "CUB_200_2011"
    has_boxes = True

    def files(self, base: Path, year: int | None) -> list[str]:
        need(base / "images.txt", "index of CUB-200-2011")
        need(base / "images", "images of CUB-200-2011")
        captions = caption_folder(base, CAPTIONS)
        files = [*INDICES, *split_files(base, SPLITS).values()]
        return files + walk(base, "images", (".jpg", ".jpeg", ".png")) + walk(base, captions, (".txt",))

    def read(self, base: Path, year: int | None) -> RawIndex:
        names = {key: name for key, (name,) in rows(base / "classes.txt", 2)}
        labels = {key: int(label) for key, (label,) in rows(base / "image_class_labels.txt", 2)}
        box_file = base / "bounding_boxes.txt"
        boxes = {key: box(box_file, key, values) for key, values in rows(box_file, 5)}
        splits, lists = class_splits(base, SPLITS)
        captions = join(base, caption_folder(base, CAPTIONS))
        images: list[RawImage] = []
        seen: set[str] = set()
        for key, (file,) in rows(base / "images.txt", 2):
            path = base / "images" / file
            if file in seen:
                raise ReproError(f"{base / 'images.txt'}: image {file} is listed twice (again as id {key})")
            seen.add(file)
            if key not in labels or labels[key] not in names:
                raise ReproError(f"{path}: image id {key} has no class in image_class_labels.txt and classes.txt")
            if key not in boxes:
                raise ReproError(f"{path}: image id {key} has no box in {box_file}")
            name = names[labels[key]]
            if name not in splits:
                raise ReproError(f"{path}: its class {name} is in neither {lists}; add it to one, or remove its images")
            images.append(
                RawImage(
                    path=need(path, f"listed in images.txt as id {key}"),
                    image_id=str(Path(file).with_suffix("")),
                    class_id=labels[key],
                    split=splits[name],
                    box=boxes[key],
                    captions=(captions / file).with_suffix(".txt"),
                )
            )
        used = {image.class_id for image in images}
        return RawIndex(images, {key: name for key, name in names.items() if key in used})

    def release(self, year: int | None) -> Release:
        return RELEASE

    def draw_standin(self, base: Path, size: StandinSize, year: int | None) -> None:
        write_cub(base, size)


def rows(path: Path, fields: int) -> list[tuple[int, list[str]]]:
    """Rows ``id value...`` of an index file. Raises ReproError on a malformed or repeated row."""
    found: list[tuple[int, list[str]]] = []
    seen: set[int] = set()
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if not line.strip():
            continue
        key, *values = line.split(None, fields - 1)
        if len(values) != fields - 1 or not key.isdigit():
            raise ReproError(f"{path}:{number}: expected an id and {fields - 1} value(s), found {line!r}")
        if int(key) in seen:
            raise ReproError(f"{path}:{number}: id {key} is listed twice; keep one line for each id")
        seen.add(int(key))
        found.append((int(key), [value.strip() for value in values]))
    return found


def box(path: Path, key: int, values: list[str]) -> tuple[float, float, float, float]:
    try:
        x, y, width, height = (float(value) for value in " ".join(values).split())
    except ValueError:
        raise ReproError(f"{path}: image id {key}: expected x y width height, found {' '.join(values)!r}") from None
    return x, y, width, height


CUB = Cub()
