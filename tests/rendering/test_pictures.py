from pathlib import Path

import numpy as np
import pytest
from fakes import HOSTILE
from PIL import Image

from t2i_repro.rendering import pictures
from t2i_repro.rendering.pictures import DPI, Grid, Picture, Row, choose_layout, draw_grid, length, stretch, wrap

COLOURS = [(230, 159, 0), (86, 180, 233), (0, 158, 115), (204, 121, 167)]


def plain(colour: tuple[int, int, int], under: str = "") -> Picture:
    return Picture(np.full((4, 4, 3), colour, dtype=np.uint8), under)


def drawn(grid: Grid, out: Path) -> np.ndarray:
    out.mkdir(exist_ok=True)
    draw_grid(grid, out)
    with Image.open(out / "figure.png") as image:
        return np.asarray(image.convert("RGB")).astype(int)


def places(pixels: np.ndarray, colour: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """Top, bottom, left, right of what has a colour."""
    rows, columns = np.nonzero((np.abs(pixels - colour) < 3).all(axis=2))
    return rows.min(), rows.max(), columns.min(), columns.max()


def test_a_grid_has_the_same_bytes_every_time(tmp_path: Path) -> None:
    mask = Picture(np.random.default_rng(0).random((8, 8)), "0.00 to 1.00")
    rows = [Row(HOSTILE, [plain(COLOURS[0]), mask], [HOSTILE]), Row(HOSTILE, [plain(COLOURS[1]), mask], apart=True)]
    grid = Grid([(HOSTILE, HOSTILE), ("mask", "")], rows, [HOSTILE])
    for name in ("one", "two"):
        drawn(grid, tmp_path / name)
    for suffix in ("png", "pdf"):
        one, two = (tmp_path / name / f"figure.{suffix}" for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()
    vectors = (tmp_path / "one/figure.pdf").read_bytes()
    assert vectors.startswith(b"%PDF")
    assert vectors.count(b"/Subtype /Image") == 4  # each picture is one of its own; all else is text and lines


@pytest.mark.parametrize("columns", range(1, 25))
@pytest.mark.parametrize("rows", [1, 8, 40])
def test_a_figure_fits_a_page_and_its_pictures_are_not_tiny(columns: int, rows: int) -> None:
    layout = choose_layout(columns, rows)
    assert 3.4 <= layout.width <= 7.0 + 1e-9
    assert 0.8 <= layout.size <= 1.25
    assert layout.text + layout.across * layout.size <= layout.width + 1e-9
    assert layout.captions_left == (columns <= 6)
    lines = -(-columns // layout.across)
    assert lines * layout.across - columns < lines  # no line is shorter by more than one picture
    assert min(pictures.SIZES.values()) >= 6.5


def test_rows_and_columns_are_in_order_with_room_for_long_captions(tmp_path: Path) -> None:
    rows = [
        Row("a long caption " * 20, [plain(COLOURS[0]), plain(COLOURS[1])]),
        Row("", [plain(COLOURS[2]), plain(COLOURS[3])]),
    ]
    pixels = drawn(Grid([("left", "2 px"), ("right", "2 px")], rows, ["a note"]), tmp_path)
    first, second, third, fourth = (places(pixels, colour) for colour in COLOURS)
    side = 1.2 * DPI
    for top, bottom, left, right in (first, second, third, fourth):
        assert bottom - top == pytest.approx(side, abs=3)
        assert right - left == pytest.approx(side, abs=3)
    assert (first[:2], third[:2]) == (second[:2], fourth[:2])
    assert (first[2:], second[2:]) == (third[2:], fourth[2:])
    assert first[3] < second[2]
    text = (pixels[first[0] :, : first[2] - 5] < 128).all(axis=2)
    caption = text[: third[0] - first[0]]  # the caption: taller than its pictures, and above the next row
    assert np.nonzero(caption.any(axis=1))[0].max() > first[1] - first[0]
    assert third[0] - first[1] > 50


def test_long_rows_are_broken_and_every_line_has_its_headings(tmp_path: Path) -> None:
    colours = [(20 * place, 255 - 20 * place, 128) for place in range(10)]
    columns = [(f"column {place}", "") for place in range(10)]
    pixels = drawn(Grid(columns, [Row("a caption", [plain(colour) for colour in colours])], []), tmp_path)
    found = [places(pixels, colour) for colour in colours]
    assert len({place[:2] for place in found}) == 2
    assert [place[2:] for place in found[:5]] == [place[2:] for place in found[5:]]
    between = pixels[found[0][1] + 5 : found[5][0] - 5]
    assert (between < 128).all(axis=2).any()  # the headings of the second line


def test_lines_are_no_wider_than_asked_and_lose_nothing() -> None:
    for text in ("WIDE CAPITALS " * 9, "i l 1 " * 30, "x" * 200, HOSTILE, "a"):
        lines = wrap(text, 12)
        assert all(length(line) <= 12 for line in lines)
        assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert wrap("", 12) == []
    assert wrap("W" * 5, 0.1) == list("WWWWW")


def test_masks_are_stretched_and_a_constant_one_is_grey() -> None:
    assert stretch(np.array([[0.48, 0.52]])) == {"cmap": "gray", "vmin": 0.48, "vmax": 0.52}
    assert stretch(np.full((4, 4), 0.5)) == {"cmap": "gray", "vmin": 0.0, "vmax": 1.0}
