"""A stand-in for CUB-200-2011: procedural birds in the official files."""

from pathlib import Path

from t2i_repro.data.layout import StandinSize
from t2i_repro.data.procedural import birds
from t2i_repro.data.procedural.files import class_stream, jpeg, pictures, write, write_split_lists


def write_cub(base: Path, size: StandinSize) -> None:
    kinds = birds.species(size.classes, class_stream("cub", size))
    names = [f"{number:03d}.{kind.name}" for number, kind in enumerate(kinds, 1)]
    images: list[str] = []
    labels, boxes, halves = [], [], []
    for kind, number, (width, height), rng in pictures("cub", size):
        image, place, box = birds.draw(kinds[kind], width, height, rng)
        stem = f"{names[kind]}/{kinds[kind].name}_{number + 1:04d}_{kind * size.images_per_class + number + 1}"
        write(base / "images" / f"{stem}.jpg", jpeg(image))
        texts = birds.captions(kinds[kind], place, size.captions_per_image, rng)
        write(base / "text_c10" / f"{stem}.txt", "".join(f"{text}\n" for text in texts))
        key = len(images) + 1
        images.append(f"{key} {stem}.jpg\n")
        labels.append(f"{key} {kind + 1}\n")
        boxes.append(f"{key} {' '.join(f'{value:.1f}' for value in box)}\n")
        halves.append(f"{key} {number % 2}\n")
    write(base / "images.txt", "".join(images))
    write(base / "image_class_labels.txt", "".join(labels))
    write(base / "bounding_boxes.txt", "".join(boxes))
    write(base / "train_test_split.txt", "".join(halves))
    write(base / "classes.txt", "".join(f"{number} {name}\n" for number, name in enumerate(names, 1)))
    write_split_lists(base / "t2i_class_split", names, size)
