"""Preparing data: round trips, and every kind of bad input (issue 2)."""

import io
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_data import COLOURS, STEMS, caption_file, picture, prepared, replace_line, write_cub

from t2i_repro.data.layout import layouts
from t2i_repro.data.manifest import manifest_digest
from t2i_repro.data.pictures import crop_to_box, decode_image, resize_shorter, short_side
from t2i_repro.data.prepare import _in_order
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError


def save(image: Image.Image, path: Path, kind: str) -> None:
    """Save as `kind`, whatever the suffix says: readers must look at the bytes."""
    buffer = io.BytesIO()
    image.save(buffer, kind)
    path.write_bytes(buffer.getvalue())


def test_round_trip(tmp_path: Path) -> None:
    write_cub(tmp_path)
    data, facts = prepared(tmp_path, tmp_path / "out")
    assert data.image_ids == STEMS
    assert data.class_ids.tolist() == [1, 1, 2, 2, 3, 3]
    assert {split: found.tolist() for split, found in data.splits.items()} == {"train": [0, 1, 2, 3], "test": [4, 5]}
    assert data.short_side == 19
    assert not data.raw_is_standin
    assert data.class_names == {1: "001.Red_Bird", 2: "002.Blue_Bird", 3: "003.Green_Bird"}
    assert facts["images"] == {"train": 4, "test": 2}
    assert facts["handled"] == {}
    for image in range(6):
        pixels = data.pixels(image)
        assert pixels.shape == (19, 19, 3)
        assert np.abs(pixels.mean((0, 1)) - COLOURS[image]).max() < 4
        for caption in data.caption_ids(image):
            assert data.caption_image[caption] == image
            words = [data.vocabulary[number] for number in data.tokens(caption)]
            assert " ".join(words) == data.caption(caption)
            assert f"number{image}" in words
            assert data.encode(data.caption(caption)).tolist() == data.tokens(caption).tolist()
    assert data.vocabulary[0] == "<end>"


def test_unknown_words_are_named_or_dropped(tmp_path: Path) -> None:
    write_cub(tmp_path)
    data, _ = prepared(tmp_path, tmp_path / "out")
    with pytest.raises(ReproError, match=r"never use a, ostrich;"):
        data.encode("Bird one, a ostrich")
    assert data.encode("bird one, a ostrich", skip_unknown=True).tolist() == data.encode("bird one").tolist()
    with pytest.raises(ReproError, match="no word"):
        data.encode("ostrich!", skip_unknown=True)


LISTS = "t2i_class_split/trainvalclasses.txt"


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda base: picture(base, 2).write_bytes(picture(base, 2).read_bytes()[:-200]),
            "Blue_Bird_1.jpg: not an image, or damaged",
        ),
        (lambda base: picture(base, 2).write_text("<html>404</html>"), "Blue_Bird_1.jpg: not an image, or damaged"),
        (lambda base: picture(base, 2).write_bytes(b""), "Blue_Bird_1.jpg: not an image, or damaged"),
        (lambda base: picture(base, 2).unlink(), "Blue_Bird_1.jpg: not found"),
        (
            lambda base: caption_file(base, 2).unlink(),
            "Blue_Bird_1.jpg: has no captions; expected them in .*Blue_Bird_1.txt",
        ),
        (lambda base: caption_file(base, 2).write_text("\n \n...\n"), "Blue_Bird_1.txt: no caption with a word"),
        (
            lambda base: replace_line(base / "bounding_boxes.txt", 2, "3 60 8 20 20"),
            "Blue_Bird_1.jpg: box .* lies outside the image of 50 x 40",
        ),
        (
            lambda base: replace_line(base / "bounding_boxes.txt", 2, "3 -25 8 20 20"),
            "Blue_Bird_1.jpg: box .* lies outside",
        ),
        (lambda base: replace_line(base / "bounding_boxes.txt", 2, "3 8 8 0 20"), "Blue_Bird_1.jpg: box .* is empty"),
        (
            lambda base: replace_line(base / "bounding_boxes.txt", 2, "3 8 8 20"),
            "bounding_boxes.txt:3: expected an id and 4 value",
        ),
        (
            lambda base: replace_line(base / "bounding_boxes.txt", 2, "3 8 8 x 20"),
            "id 3: expected x y width height, found '8 8 x 20'",
        ),
        (lambda base: replace_line(base / "images.txt", 2, f"3 {STEMS[0]}.jpg"), "Red_Bird_1.jpg is listed twice"),
        (lambda base: replace_line(base / "images.txt", 2, f"1 {STEMS[2]}.jpg"), "id 1 is listed twice"),
        (lambda base: replace_line(base / "images.txt", 2, "three x.jpg"), "images.txt:3: expected an id"),
        (
            lambda base: replace_line(base / "image_class_labels.txt", 2, "3 9"),
            "Blue_Bird_1.jpg: image id 3 has no class",
        ),
        (
            lambda base: replace_line(base / "bounding_boxes.txt", 2, "99 8 8 20 20"),
            "Blue_Bird_1.jpg: image id 3 has no box",
        ),
        (
            lambda base: replace_line(base / LISTS, 1, ""),
            "class 002.Blue_Bird is in neither .*trainvalclasses.txt or .*testclasses.txt",
        ),
        (
            lambda base: replace_line(base / "t2i_class_split/testclasses.txt", 0, "001.Red_Bird"),
            "class 001.Red_Bird is listed twice",
        ),
    ],
)
def test_refused_naming_the_file(tmp_path: Path, spoil, message: str) -> None:  # type: ignore[no-untyped-def]
    base = write_cub(tmp_path)
    spoil(base)
    with pytest.raises(ReproError, match=message):
        prepared(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out" / "pixels.npy").exists()
    assert not list((tmp_path / "out").glob("*.partial"))


@pytest.mark.parametrize(
    ("text", "kept", "counted"),
    [
        (b"only number2\n", ["only number2"], {"images with fewer captions than expected": 1}),
        (b"\na number2\nb number2\n", ["a number2", "b number2"], {"empty captions": 1}),
        (b"...\na number2\nb number2\n", ["a number2", "b number2"], {"captions without a word": 1}),
        (b"caf\xe9 number2\nb number2\n", ["caf  number2", "b number2"], {"captions not in UTF-8": 1}),
        (b"a number2\nb number2\nc number2\n", ["a number2", "b number2"], {}),
    ],
)
def test_handled_captions_are_counted_and_never_shift(
    tmp_path: Path, text: bytes, kept: list[str], counted: dict[str, int]
) -> None:
    base = write_cub(tmp_path)
    caption_file(base, 2).write_bytes(text)
    data, facts = prepared(tmp_path, tmp_path / "out")
    assert facts["handled"] == counted
    assert [data.caption(caption) for caption in data.caption_ids(2)] == kept
    for image in range(6):
        assert len(data.caption_ids(image)) == (len(kept) if image == 2 else 2)
        assert all(f"number{image}" in data.caption(caption).split() for caption in data.caption_ids(image))


def test_a_box_partly_outside_is_cut_and_counted(tmp_path: Path) -> None:
    base = write_cub(tmp_path)
    replace_line(base / "bounding_boxes.txt", 2, "3 40 8 20 20")
    data, facts = prepared(tmp_path, tmp_path / "out")
    assert facts["handled"] == {"box partly outside the image": 1}
    # r = 15, centre (50, 18): columns 35..50, rows 3..33 -> 15 x 30, so the shorter side is the width.
    assert data.pixels(2).shape == (38, 19, 3)


def test_crop_is_the_papers() -> None:
    rows, columns = np.mgrid[0:100, 0:120]
    image = Image.fromarray(np.stack([columns, rows, rows], 2).astype(np.uint8))
    # int(12.9)=12, int(30.9)=30, 41x20: r = int(30.75) = 30, centre (int(65/2), int(80/2)) = (32, 40).
    crop, beyond = crop_to_box(image, (12.9, 30.9, 41.9, 20.0), "x")
    assert not beyond
    pixels = np.asarray(crop)
    assert pixels.shape == (60, 60, 3)
    assert pixels[0, 0, :2].tolist() == [2, 10]
    assert [short_side(size) for size in (64, 256, 299)] == [76, 304, 355]
    assert resize_shorter(Image.new("RGB", (75, 50)), 19).size == (28, 19)
    assert resize_shorter(Image.new("RGB", (50, 75)), 19).size == (19, 28)


def test_other_kinds_of_pixels_are_converted_and_counted(tmp_path: Path) -> None:
    base = write_cub(tmp_path)
    size = (50, 40)
    save(Image.new("L", size, 77), picture(base, 0), "JPEG")
    palette = Image.new("P", size, 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    save(palette, picture(base, 1), "PNG")
    save(Image.new("CMYK", size, (0, 255, 255, 0)), picture(base, 2), "JPEG")
    save(Image.fromarray(np.full((40, 50), 51400, dtype=np.uint16)), picture(base, 3), "PNG")
    save(Image.new("RGBA", size, (255, 0, 0, 0)), picture(base, 4), "PNG")
    turned = Image.new("RGB", size, (9, 9, 9))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(picture(base, 5), exif=exif)
    data, facts = prepared(tmp_path, tmp_path / "out", boxes=False)
    assert facts["handled"] == {
        "16-bit": 1,
        "cmyk": 1,
        "exif orientation ignored": 1,
        "greyscale": 2,
        "palette": 1,
        "transparency": 1,
    }
    means = [np.rint(data.pixels(image).mean((0, 1))).astype(int).tolist() for image in range(6)]
    assert means[0] == [77, 77, 77]
    assert means[1] == [10, 200, 30]
    assert means[2][0] > 225
    assert max(means[2][1:]) < 30
    assert means[3] == [200, 200, 200]  # 51400 / 257, neither clipped nor wrapped
    assert means[4] == [255, 255, 255]  # transparent red shows the white below
    assert data.pixels(5).shape == (19, 23, 3)  # not turned


def test_sixteen_bit_colour_is_scaled_and_counted() -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    row = b"\0" + struct.pack(">3H", 51400, 257, 65535) * 4
    header = chunk(b"IHDR", struct.pack(">2I5B", 4, 4, 16, 2, 0, 0, 0))
    raw = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(row * 4)) + chunk(b"IEND", b"")
    image, notes = decode_image(raw, "x.png")
    assert notes == ["16-bit"]
    assert image.getpixel((0, 0)) == (200, 1, 255)


def test_floating_point_pixels_are_refused(tmp_path: Path) -> None:
    base = write_cub(tmp_path)
    save(Image.new("F", (50, 40), 0.5), picture(base, 1), "TIFF")
    with pytest.raises(ReproError, match=r"Red_Bird_2\.jpg: floating-point"):
        prepared(tmp_path, tmp_path / "out")


def test_raw_files_that_changed_since_the_plan_are_refused(tmp_path: Path) -> None:
    base = write_cub(tmp_path)
    manifest, _ = manifest_digest(layouts()["cub"], base, None, tmp_path / "cache.json")
    prepared(tmp_path, tmp_path / "same", manifest=manifest)
    caption_file(base, 3).write_text("another caption\n")
    with pytest.raises(ReproError, match="raw files changed since the plan"):
        prepared(tmp_path, tmp_path / "changed", manifest=manifest)


def test_same_input_same_bytes(tmp_path: Path) -> None:
    write_cub(tmp_path)
    for out in ("a", "b"):
        prepared(tmp_path, tmp_path / out)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(names) == 12
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_incomplete_data_is_refused(tmp_path: Path) -> None:
    write_cub(tmp_path)
    prepared(tmp_path, tmp_path / "out")
    (tmp_path / "out" / "tokens.npy").unlink()
    with pytest.raises(ReproError, match=r"not a complete prepared dataset .*tokens\.npy"):
        Prepared(tmp_path / "out")


def test_work_ahead_is_bounded_and_in_order() -> None:
    begun: list[int] = []

    def work(item: int) -> int:
        begun.append(item)
        return item

    results = _in_order(work, range(1000))
    assert next(results) == 0
    time.sleep(0.05)
    assert len(begun) <= 2 * 8 + 2
    assert list(results) == list(range(1, 1000))


_MEASURE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from raw_data import prepared
prepared(Path(sys.argv[2]), Path(sys.argv[2]) / "out", image_size=256, boxes=False)
"""


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path, peak_memory: Callable[..., float]) -> None:
    peaks, sizes = [], []
    for times in (4, 60):
        root = tmp_path / str(times)
        base = write_cub(root)
        images, labels, boxes = [], [], []
        for key in range(1, 6 * times + 1):
            stem = f"{STEMS[0]}_{key}"
            (base / "images" / f"{stem}.jpg").hardlink_to(picture(base, 0))
            (base / "text_c10" / f"{stem}.txt").hardlink_to(caption_file(base, 0))
            images.append(f"{key} {stem}.jpg\n")
            labels.append(f"{key} 1\n")
            boxes.append(f"{key} 8 8 20 20\n")
        (base / "images.txt").write_text("".join(images))
        (base / "image_class_labels.txt").write_text("".join(labels))
        (base / "bounding_boxes.txt").write_text("".join(boxes))
        peaks.append(peak_memory(_MEASURE, str(Path(__file__).parents[1] / "helpers"), str(root)))
        sizes.append((root / "out" / "pixels.npy").stat().st_size / 2**20)
    assert sizes[1] - sizes[0] > 100  # MiB of pixels more ...
    assert peaks[1] - peaks[0] < (sizes[1] - sizes[0]) / 2  # ... that were never in memory at once
