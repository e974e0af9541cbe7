"""Files of every kind become the RGB square they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasearch.data.decode import decode, image_size
from tasearch.domain.errors import DataError


def saved(image: Image.Image, path: Path) -> str:
    image.save(path)
    return str(path)


def colour(path: str) -> tuple[int, ...]:
    pixels = decode(path, 4)
    assert pixels.shape == (3, 4, 4)
    assert pixels.dtype == np.uint8
    return tuple(int(channel[1, 1]) for channel in pixels)


@pytest.mark.parametrize(
    ("mode", "fill", "expected"),
    [
        ("RGB", (10, 20, 30), (10, 20, 30)),
        ("L", 77, (77, 77, 77)),
        ("1", 1, (255, 255, 255)),
        ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
        ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
        ("LA", (40, 255), (40, 40, 40)),
        ("LA", (40, 0), (255, 255, 255)),
        ("I;16", 0x7F12, (0x7F, 0x7F, 0x7F)),
    ],
)
def test_png_of_mode(mode: str, fill: int | tuple[int, ...], expected: tuple[int, ...], tmp_path: Path) -> None:
    assert colour(saved(Image.new(mode, (4, 4), fill), tmp_path / "a.png")) == expected


def test_32_bit_grey_is_read_as_16_bit(tmp_path: Path) -> None:
    assert colour(saved(Image.new("I", (4, 4), 0x7F12), tmp_path / "a.tif")) == (0x7F,) * 3


def test_palette_is_resolved(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    assert colour(saved(image, tmp_path / "a.png")) == (10, 20, 30)


def test_transparent_palette_entry_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.save(tmp_path / "a.png", transparency=b"\xff\x00")
    assert colour(str(tmp_path / "a.png")) == (255, 255, 255)


def test_cmyk_jpeg_is_converted(tmp_path: Path) -> None:
    red, green, blue = colour(saved(Image.new("CMYK", (4, 4), (0, 255, 255, 0)), tmp_path / "a.jpg"))
    assert red > 200
    assert max(green, blue) < 60


def test_float_pixels_are_refused(tmp_path: Path) -> None:
    path = saved(Image.new("F", (4, 4), 0.5), tmp_path / "a.tif")
    with pytest.raises(DataError, match="floating-point") as error:
        decode(path, 4)
    assert path in error.value.message


def test_image_of_the_right_size_is_untouched(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    path = saved(Image.fromarray(pixels), tmp_path / "a.png")
    assert np.array_equal(decode(path, 4), pixels.transpose(2, 0, 1))


@pytest.mark.parametrize(("width", "height"), [(24, 8), (8, 24)])
def test_centre_is_kept_of_an_oblong_image(width: int, height: int, tmp_path: Path) -> None:
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    top, left = (height - 8) // 2, (width - 8) // 2
    pixels[top : top + 8, left : left + 8] = 200
    path = saved(Image.fromarray(pixels), tmp_path / "a.png")
    assert decode(path, 8).min() == 200


def test_shrinking_averages(tmp_path: Path) -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 200
    path = saved(Image.fromarray(stripes), tmp_path / "a.png")
    assert np.abs(decode(path, 8).astype(int) - 100).max() <= 6


def test_small_image_is_enlarged(tmp_path: Path) -> None:
    path = saved(Image.new("RGB", (2, 2), (9, 9, 9)), tmp_path / "a.png")
    assert decode(path, 8).shape == (3, 8, 8)


def test_large_jpeg_keeps_its_colour(tmp_path: Path) -> None:
    path = saved(Image.new("RGB", (512, 300), (200, 100, 50)), tmp_path / "a.jpg")
    assert decode(path, 16)[:, 8, 8] == pytest.approx([200, 100, 50], abs=3)


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_truncated_file_is_named(name: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    path = saved(Image.fromarray(noise), tmp_path / name)
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=name):
        decode(path, 8)


def test_text_is_no_image(tmp_path: Path) -> None:
    path = tmp_path / "notes.jpg"
    path.write_text("not an image")
    with pytest.raises(DataError, match=r"notes\.jpg cannot be read"):
        decode(str(path), 8)
    with pytest.raises(DataError, match=r"notes\.jpg cannot be read"):
        image_size(str(path))


def test_size_is_width_and_height(tmp_path: Path) -> None:
    assert image_size(saved(Image.new("L", (5, 3)), tmp_path / "a.png")) == (5, 3)
