"""Folders of images: what they become, and one clear line for each way they can be wrong."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasearch.data import folder
from tasearch.data.dataset import DataRequest, Source
from tasearch.data.registry import load_dataset
from tasearch.domain.errors import DataError


def write_images(where: Path, count: int, size: tuple[int, int] = (8, 8), value: int = 0) -> None:
    where.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.new("RGB", size, (value, number, 0)).save(where / f"{number}.png")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "pets"
    for split, count in (("train", 4), ("test", 2)):
        write_images(path / split / "cat", count, value=100)
        write_images(path / split / "dog", count, value=200)
    return path


def load(root: Path, image_size: int | None = None) -> Source:
    request = DataRequest(name=f"folder:{root}", data_dir=root.parent / "data", image_size=image_size)
    source = folder.load(request)
    assert isinstance(source, Source)
    return source


def test_images_and_labels_go_together(root: Path) -> None:
    source = load(root)
    assert source.class_names == ("cat", "dog")
    assert source.train.labels.tolist() == [0] * 4 + [1] * 4
    assert source.train.images[:, 0, 0, 0].tolist() == [100] * 4 + [200] * 4
    assert source.train.images[:, 1, 3, 3].tolist() == [0, 1, 2, 3] * 2
    assert source.test.labels.tolist() == [0, 0, 1, 1]
    assert source.val is None


def test_common_square_size_is_the_default(root: Path) -> None:
    assert load(root).test.images.shape == (4, 3, 8, 8)


@pytest.mark.parametrize("size", [(9, 9), (8, 9)])
def test_one_other_size_makes_it_64(root: Path, size: tuple[int, int]) -> None:
    Image.new("RGB", size).save(root / "test" / "dog" / "z.png")
    assert load(root).test.images.shape == (5, 3, 64, 64)


def test_images_that_are_not_square_make_it_64(root: Path) -> None:
    for file in root.rglob("*.png"):
        Image.new("RGB", (8, 9)).save(file)
    assert load(root).train.images.shape[2:] == (64, 64)


def test_asked_size_is_taken(root: Path) -> None:
    assert load(root, 16).train.images.shape == (8, 3, 16, 16)


@pytest.mark.parametrize("size", [3, 513])
def test_impossible_size_is_refused(root: Path, size: int) -> None:
    with pytest.raises(DataError, match=f"image_size {size} .* 4 to 512"):
        load(root, size)


def test_more_images_than_one_task_takes_stay_in_order(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "_CHUNK", 3)
    assert load(root).train.images[:, 1, 0, 0].tolist() == [0, 1, 2, 3] * 2


def test_second_start_decodes_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(root)

    def fail(_path: str, _size: int) -> None:
        raise AssertionError("decoded again")

    monkeypatch.setattr(folder, "decode", fail)
    assert np.array_equal(load(root).train.images, first.train.images)


def test_damaged_copy_is_made_again(root: Path) -> None:
    first = load(root)
    (kept,) = (root.parent / "data" / "decoded").iterdir()
    kept.write_bytes(b"damaged")
    assert np.array_equal(load(root).train.images, first.train.images)
    assert kept.stat().st_size > 100


def test_changed_image_is_decoded_again(root: Path) -> None:
    load(root)
    Image.new("RGB", (8, 8), (1, 2, 3)).save(root / "test" / "cat" / "0.png", compress_level=0)
    assert load(root).test.images[0, :, 0, 0].tolist() == [1, 2, 3]


def test_val_is_the_test_set_where_there_is_no_test(root: Path) -> None:
    (root / "test").rename(root / "val")
    assert len(load(root).test) == 4


def test_a_folder_val_beside_test_is_said_to_be_left_out(root: Path) -> None:
    shutil.copytree(root / "test", root / "val")
    request = DataRequest(name=f"folder:{root}", data_dir=root.parent / "data")
    assert folder.remarks_of(request, load(root)) == (
        "the folder val is not used: the images to choose by are carved from train",
    )


def test_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere is not a folder"):
        load(tmp_path / "nowhere")


def test_no_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs a path"):
        folder.load(DataRequest(name="folder:", data_dir=tmp_path))


def test_missing_train_is_said(root: Path) -> None:
    shutil.rmtree(root / "train")
    with pytest.raises(DataError, match="has no folder train"):
        load(root)


def test_missing_test_and_val_are_said(root: Path) -> None:
    shutil.rmtree(root / "test")
    with pytest.raises(DataError, match="neither a folder test nor a folder val"):
        load(root)


def test_class_without_images_is_named(root: Path) -> None:
    (root / "train" / "eel").mkdir()
    (root / "train" / "eel" / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match=r"no image in class folder .*train/eel"):
        load(root)


@pytest.mark.parametrize("split", ["train", "test"])
def test_classes_that_differ_are_named(root: Path, split: str) -> None:
    write_images(root / split / "eel", 1)
    with pytest.raises(DataError, match=f"eel only in .*{split}"):
        load(root)


def test_one_class_is_refused(root: Path) -> None:
    shutil.rmtree(root / "train" / "dog")
    with pytest.raises(DataError, match="has 1 class folders: at least 2"):
        load(root)


def test_damaged_image_is_named(root: Path) -> None:
    broken = root / "train" / "dog" / "2.png"
    Image.effect_noise((8, 8), 90).save(broken)
    broken.write_bytes(broken.read_bytes()[:-40])
    with pytest.raises(DataError, match=f"image {broken} cannot be read"):
        load(root)


def test_damaged_folder_leaves_no_copy(root: Path) -> None:
    (root / "train" / "dog" / "2.png").write_bytes(b"")
    with pytest.raises(DataError):
        load(root)
    assert not (root.parent / "data").exists()


def test_name_is_without_the_place(root: Path) -> None:
    assert folder.name_of(f"folder:{root}/train/..") == "folder:pets"


def test_images_that_are_not_rgb_are_counted_and_said_again_from_the_copy(root: Path) -> None:
    Image.new("L", (8, 8)).save(root / "train" / "cat" / "grey.png")
    Image.new("RGBA", (8, 8)).save(root / "test" / "dog" / "clear.png")
    request = DataRequest(name=f"folder:{root}", data_dir=root.parent / "data")
    expected = (
        "1 of 14 images: grey, their channel stands for red, green and blue",
        "1 of 14 images: with an alpha channel or transparency, laid on white",
    )
    assert folder.remarks_of(request, load(root)) == expected
    assert len(list((root.parent / "data" / "kinds").iterdir())) == 1
    assert folder.remarks_of(request, load(root)) == expected


def test_sixteen_bit_images_with_twelve_bits_of_content_are_said_to_lose_most_of_it(tmp_path: Path) -> None:
    folder_of = tmp_path / "scans"
    for index, part in enumerate(("train/ill", "train/well", "test/ill", "test/well")):
        (folder_of / part).mkdir(parents=True)
        for number in range(4):
            pixels = np.full((8, 8), 4095 - 16 * number - index, dtype=np.uint16)
            Image.fromarray(pixels).save(folder_of / part / f"{number}.png")
    found = load_dataset(DataRequest(name=f"folder:{folder_of}", data_dir=tmp_path / "data"))
    [remark] = found.remarks
    assert remark.startswith("all 16 images: 16-bit grey, of which the upper 8 bits count")
    assert "the brightest training pixel is 15 of 255, so at most 16 levels are left" in remark


def test_of_plain_rgb_nothing_is_said(root: Path) -> None:
    request = DataRequest(name=f"folder:{root}", data_dir=root.parent / "data")
    assert folder.remarks_of(request, load(root)) == ()
