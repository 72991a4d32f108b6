"""Raw layouts as they are published: what is read, what is refused, and the manifest digest."""

import errno
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from raw_data import STEMS, caption_file, picture, prepared, write_cub
from scipy.io import savemat

from t2i_repro.data import layout as raw
from t2i_repro.data.layout import RawIndex, check_params, layouts
from t2i_repro.data.manifest import manifest_digest
from t2i_repro.errors import ReproError


def read_index(layout: str, root: Path, year: int | None = None) -> RawIndex:
    """The index of the dataset in its official folder below ``root``."""
    return raw.read_index(layouts()[layout], root / layouts()[layout].folder, year)


def raw_files(layout: str, root: Path) -> dict[str, str]:
    return raw.raw_files(layouts()[layout], root / layouts()[layout].folder)


def digest_of(base: Path, cache: Path) -> tuple[str, int]:
    return manifest_digest(layouts()["cub"], base, None, cache)


def write_oxford(root: Path) -> Path:
    base = root / "oxford102"
    (base / "jpg").mkdir(parents=True)
    labels = [3, 3, 7]
    savemat(base / "imagelabels.mat", {"labels": np.array([labels], dtype=np.uint8)})
    for number, label in enumerate(labels, 1):
        Image.new("RGB", (30, 20), (number, 0, 0)).save(base / "jpg" / f"image_{number:05d}.jpg")
        folder = base / "text_c10" / f"class_{label:05d}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"image_{number:05d}.txt").write_text(f"flower {number}\n")
    (base / "trainvalclasses.txt").write_text("class_00003\n")
    (base / "testclasses.txt").write_text("class_00007\n")
    return base


def write_coco(root: Path, year: int) -> Path:
    base = root / "coco"
    (base / "annotations").mkdir(parents=True)
    for number, part in enumerate(("train", "val")):
        (base / f"{part}{year}").mkdir()
        images, captions = [], []
        for key in (20 + number, 10 + number):
            name = f"COCO_{part}{year}_{key:012d}.jpg" if year == 2014 else f"{key:012d}.jpg"
            Image.new("RGB", (30, 20)).save(base / f"{part}{year}" / name)
            images.append({"id": key, "file_name": name})
            captions += [{"image_id": key, "id": 100 - key + n, "caption": f"scene {key} {n}"} for n in (1, 0)]
        content = {"images": images, "annotations": captions}
        (base / "annotations" / f"captions_{part}{year}.json").write_text(json.dumps(content))
    return base


def edit(path: Path, change) -> None:  # type: ignore[no-untyped-def]
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_cub(tmp_path: Path) -> None:
    base = write_cub(tmp_path)
    index = read_index("cub", tmp_path)
    assert [image.image_id for image in index.images] == STEMS
    assert [image.split for image in index.images] == ["train"] * 4 + ["test"] * 2
    assert index.images[3].box == (8.0, 8.0, 20.0, 20.0)
    assert index.images[3].captions == caption_file(base, 3)
    assert not raw.is_standin(base)


def test_captions_and_lists_beside_the_official_folder(tmp_path: Path) -> None:
    """As Reed's archive unpacks: cvpr2016_cub/ next to CUB_200_2011/."""
    base = write_cub(tmp_path)
    (tmp_path / "cvpr2016_cub").mkdir()
    shutil.move(base / "text_c10", tmp_path / "cvpr2016_cub" / "text_c10")
    for file in (base / "t2i_class_split").iterdir():
        shutil.move(file, tmp_path / "cvpr2016_cub" / file.name)
    index = read_index("cub", tmp_path)
    assert index.images[0].captions == tmp_path / "cvpr2016_cub" / "text_c10" / f"{STEMS[0]}.txt"
    assert "cvpr2016_cub/trainvalclasses.txt" in raw_files("cub", tmp_path)
    shutil.rmtree(tmp_path / "cvpr2016_cub" / "text_c10")
    with pytest.raises(ReproError, match=r"found no captions of Reed .* looked for .*CUB_200_2011/text_c10"):
        read_index("cub", tmp_path)


def test_oxford(tmp_path: Path) -> None:
    write_oxford(tmp_path)
    index = read_index("oxford", tmp_path)
    assert [(image.image_id, image.class_id, image.split) for image in index.images] == [
        ("image_00001", 3, "train"),
        ("image_00002", 3, "train"),
        ("image_00003", 7, "test"),
    ]
    assert index.class_names == {3: "class_00003", 7: "class_00007"}


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda base: (base / "testclasses.txt").write_text(""),
            "image_00003.jpg: its class class_00007 is in neither",
        ),
        (lambda base: (base / "jpg/image_00002.jpg").unlink(), "image_00002.txt: has captions, but .*does not exist"),
        (
            lambda base: shutil.copy(base / "jpg/image_00002.jpg", base / "jpg/image_00009.jpg"),
            "image_00009.jpg: .* labels 1..3",
        ),
        (
            lambda base: shutil.copy(base / "text_c10/class_00003/image_00001.txt", base / "text_c10/class_00007/"),
            "image_00001 is listed twice",
        ),
        (
            lambda base: shutil.move(base / "text_c10/class_00003/image_00001.txt", base / "text_c10/class_00007/"),
            "imagelabels.mat says class_00003",
        ),
        (lambda base: (base / "imagelabels.mat").write_bytes(b"no mat"), "imagelabels.mat: cannot be read"),
    ],
)
def test_oxford_refused(tmp_path: Path, spoil, message: str) -> None:  # type: ignore[no-untyped-def]
    spoil(write_oxford(tmp_path))
    with pytest.raises(ReproError, match=message):
        read_index("oxford", tmp_path)


def test_oxford_image_without_captions_is_refused(tmp_path: Path) -> None:
    base = write_oxford(tmp_path)
    (base / "text_c10/class_00003/image_00002.txt").unlink()
    with pytest.raises(ReproError, match=r"image_00002\.jpg: has no captions; expected them in .*image_00002.txt"):
        prepared(tmp_path, tmp_path / "out", "oxford")


@pytest.mark.parametrize("year", [2014, 2017])
def test_coco_of_both_years(tmp_path: Path, year: int) -> None:
    write_coco(tmp_path, year)
    for asked in (year, None):
        index = read_index("coco", tmp_path, asked)
        ids = [
            f"COCO_{part}{year}_{key:012d}" if year == 2014 else f"{key:012d}"
            for part, keys in (("train", (10, 20)), ("val", (11, 21)))
            for key in keys
        ]
        assert [image.image_id for image in index.images] == ids
        assert [image.split for image in index.images] == ["train", "train", "test", "test"]
        assert index.images[1].captions == ("scene 20 0", "scene 20 1")
        assert index.images[0].class_id is None
    with pytest.raises(
        ReproError, match=f"captions_train{4031 - year}.json: not found; captions there: captions_train{year}"
    ):
        read_index("coco", tmp_path, 4031 - year)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["images"].append(content["images"][0]), "image 000000000020.jpg .* is listed twice"),
        (
            lambda content: content["images"].append({"id": 5, "file_name": "000000000020.jpg"}),
            "000000000020.jpg .* is listed twice",
        ),
        (
            lambda content: content["annotations"].append({"image_id": 5, "id": 0, "caption": "x"}),
            "captions for image id 5, which is not",
        ),
        (lambda content: content["images"].append({"id": 5, "file_name": "5.jpg"}), "train2017/5.jpg: not found"),
        (lambda content: content.pop("annotations"), "not a COCO captions file .KeyError: 'annotations'"),
    ],
)
def test_coco_refused(tmp_path: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    base = write_coco(tmp_path, 2017)
    edit(base / "annotations" / "captions_train2017.json", change)
    with pytest.raises(ReproError, match=message):
        read_index("coco", tmp_path, 2017)


def test_coco_captions_stay_with_their_image(tmp_path: Path) -> None:
    base = write_coco(tmp_path, 2014)
    path = base / "annotations" / "captions_train2014.json"
    edit(path, lambda content: content["annotations"][0].update(caption="scene \n caf\u00e9 20"))
    path.write_bytes(path.read_bytes().replace(b"\\u00e9", b"\xe9"))
    data, facts = prepared(tmp_path, tmp_path / "out", "coco")
    assert facts["handled"] == {"captions not in UTF-8": 1}
    assert facts["classes"] == {"train": None, "test": None}
    assert not data.has_classes
    assert data.class_ids.tolist() == [0, 1, 2, 3]  # no classes: no two images share one
    for image, key in enumerate((10, 20, 11, 21)):
        assert all(str(key) in data.caption(caption) for caption in data.caption_ids(image))
    edit_file = base / "annotations" / "captions_val2014.json"
    edit(edit_file, lambda content: content.update(annotations=content["annotations"][:2]))
    with pytest.raises(ReproError, match=r"COCO_val2014_000000000011\.jpg: no caption with a word"):
        prepared(tmp_path, tmp_path / "out2", "coco")


def test_nothing_there_says_where_to_look(tmp_path: Path) -> None:
    for layout, file in (("cub", "CUB_200_2011/images.txt"), ("oxford", "oxford102/jpg"), ("coco", "coco/annotations")):
        with pytest.raises(ReproError, match=f"{tmp_path}/{file}.*data_root"):
            raw_files(layout, tmp_path)
    with pytest.raises(ReproError, match="unknown layout 'imagenet'; allowed: coco, cub, oxford"):
        raw.layout_of("imagenet")


def test_manifest_is_of_content_and_not_of_place(tmp_path: Path) -> None:
    base = write_cub(tmp_path / "here")
    cache = tmp_path / "cache.json"
    first, files = digest_of(tmp_path / "here" / "CUB_200_2011", cache)
    assert files == 4 + 2 + 12
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert digest_of(tmp_path / "there" / "CUB_200_2011", cache) == (first, files)
    shutil.copytree(base, tmp_path / "renamed")  # another folder name, for a second dataset of the layout
    assert digest_of(tmp_path / "renamed", cache) == (first, files)
    (base / "images" / ".DS_Store").write_text("")
    (base / "README").write_text("not data")
    assert digest_of(tmp_path / "here" / "CUB_200_2011", cache) == (first, files)
    caption_file(base, 0).rename(caption_file(base, 0).with_name("Red_Bird_1a.txt"))
    renamed, _ = digest_of(tmp_path / "here" / "CUB_200_2011", cache)
    assert renamed != first
    pixels = picture(tmp_path / "there" / "CUB_200_2011", 1)
    pixels.write_bytes(pixels.read_bytes() + b"x")
    assert digest_of(tmp_path / "there" / "CUB_200_2011", cache)[0] not in (first, renamed)


@pytest.mark.parametrize("error", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_a_manifest_needs_no_place_to_remember_hashes(
    error: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 79: looking at a project works where nothing can be written."""
    write_cub(tmp_path / "here")
    expected = digest_of(tmp_path / "here" / "CUB_200_2011", tmp_path / "cache.json")

    def refuse(descriptor: int) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "fsync", refuse)
    assert digest_of(tmp_path / "here" / "CUB_200_2011", tmp_path / "other.json") == expected
    assert not (tmp_path / "other.json").exists()


def test_files_beside_a_linked_folder_are_found(tmp_path: Path) -> None:
    base = write_cub(tmp_path / "disk")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/CUB_200_2011").symlink_to(base)
    shutil.move(base / "text_c10", tmp_path / "data/text_c10")
    assert len(digest_of(tmp_path / "data/CUB_200_2011", tmp_path / "cache.json")[0]) == 64
    assert "text_c10/001.Red_Bird/Red_Bird_1.txt" in raw_files("cub", tmp_path / "data")
    assert read_index("cub", tmp_path / "data").images[0].captions == tmp_path / f"data/text_c10/{STEMS[0]}.txt"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"layout": "birds"}, "datasets.mine.layout: found 'birds'; allowed: 'coco', 'cub', 'oxford'"),
        ({"layout": "coco", "year": 2015}, "datasets.mine.year: found 2015; allowed for layout coco: null, 2014, 2017"),
        ({"layout": "cub", "year": 2014}, "datasets.mine.year: found 2014; allowed for layout cub: null"),
        ({"layout": "oxford", "boxes": True}, "datasets.mine.boxes: found true; layout oxford has no boxes"),
    ],
)
def test_an_entry_must_fit_its_layout(entry: dict[str, object], message: str) -> None:
    with pytest.raises(ReproError, match=f"params.yaml: {message}"):
        check_params({"datasets": {"mine": entry}}, "params.yaml")


def test_manifest_hashes_a_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from t2i_repro.data import manifest

    write_cub(tmp_path)
    for path in tmp_path.rglob("*"):
        os.utime(path, (1e9, 1e9))
    hashed: Counter[str] = Counter()

    def counted(path: Path) -> str:
        hashed[path.name] += 1
        return real(path)

    real = manifest._hash
    monkeypatch.setattr(manifest, "_hash", counted)
    first = digest_of(tmp_path / "CUB_200_2011", tmp_path / "c" / "cache.json")
    assert hashed.total() == 18
    assert digest_of(tmp_path / "CUB_200_2011", tmp_path / "c" / "cache.json") == first
    assert hashed.total() == 18
    lists = tmp_path / "CUB_200_2011/t2i_class_split/testclasses.txt"
    lists.write_text(lists.read_text().lower())
    assert digest_of(tmp_path / "CUB_200_2011", tmp_path / "c" / "cache.json") != first
    assert hashed == Counter({name: 1 for name in hashed} | {"testclasses.txt": 2})


def test_a_file_changed_within_its_timestamp_is_not_trusted(tmp_path: Path) -> None:
    """Same size, same time, other content: only possible while the file is young, so young files are not cached."""
    base = write_cub(tmp_path)
    first, _ = digest_of(tmp_path / "CUB_200_2011", tmp_path / "cache.json")
    text = caption_file(base, 0)
    state = text.stat()
    text.write_text(text.read_text().replace("one", "two"))
    os.utime(text, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert digest_of(tmp_path / "CUB_200_2011", tmp_path / "cache.json")[0] != first


def test_planning_needs_no_heavy_library() -> None:
    heavy = ("torch", "scipy")
    code = (
        "import sys, t2i_repro.data.manifest; from t2i_repro.data.layout import layouts; assert layouts();"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_real_cub(shared: Path) -> None:
    index = read_index("cub", shared / "data")
    assert len(index.images) == 832
    classes = {split: {image.class_id for image in index.images if image.split == split} for split in ("train", "test")}
    assert {split: len(found) for split, found in classes.items()} == {"train": 23, "test": 9}
    assert not classes["train"] & classes["test"]
    assert Counter(image.split for image in index.images) == {"train": 23 * 26, "test": 9 * 26}
    assert index.class_names[1] == "001.Black_footed_Albatross"


def test_real_oxford_and_coco(shared: Path) -> None:
    oxford = read_index("oxford", shared / "data").images
    assert Counter(image.split for image in oxford) == {"train": 27 * 26, "test": 7 * 26}
    coco = read_index("coco", shared / "data", 2017).images
    assert Counter(image.split for image in coco) == {"train": 77, "test": 257}


def test_real_cub_prepared(shared: Path, tmp_path: Path) -> None:
    data, facts = prepared(shared / "data", tmp_path, image_size=64, captions_per_image=10)
    assert facts["handled"] == {"greyscale": 1}
    assert facts["captions"] == 8320
    assert facts["classes"] == {"train": 23, "test": 9}
    assert data.shapes.min() == 76
    image = data.image_ids.index("001.Black_footed_Albatross/Black_Footed_Albatross_0002_55")
    captions = [data.caption(caption) for caption in data.caption_ids(image)]
    official = shared / "data/CUB_200_2011/text_c10" / f"{data.image_ids[image]}.txt"
    assert captions == [line.strip() for line in official.read_text().splitlines()]
    # The crop by hand: box 12.1 96.8 335.2 160.8 -> r 251, centre (179, 176) -> all of 432 x 300 but 2 columns.
    source = Image.open(shared / "data/CUB_200_2011/images" / f"{data.image_ids[image]}.jpg")
    expected = source.crop((0, 0, 430, 300)).resize((int(76 * 430 / 300), 76), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(data.pixels(image), np.asarray(expected))


def test_real_oxford_prepared(shared: Path, tmp_path: Path) -> None:
    _, facts = prepared(shared / "data", tmp_path, "oxford", captions_per_image=10)
    assert facts["images"] == {"train": 702, "test": 182}
    assert facts["handled"] == {"captions without a word": 3, "images with fewer captions than expected": 3}


def test_real_coco_prepared(shared: Path, tmp_path: Path) -> None:
    data, facts = prepared(shared / "data", tmp_path, "coco", year=2017, captions_per_image=5)
    assert facts["captions"] == 334 * 5
    assert facts["handled"]["greyscale"] == 2
    assert len(set(data.class_ids.tolist())) == 334
