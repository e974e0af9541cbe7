"""Files decoded by worker processes: the same pixels in the order asked for, few ahead, and nothing left behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from tasearch.data import reader as module
from tasearch.data.decode import decode
from tasearch.data.reader import ImageReader
from tasearch.domain.errors import DataError, TasearchError
from tests.suite.waiting import wait_until

SIZE = 8


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    folder = tmp_path_factory.mktemp("images")
    draws = np.random.default_rng(0)
    for number in range(150):
        pixels = draws.integers(0, 256, (12, 10, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03d}.jpg")
    return tuple(sorted(str(path) for path in folder.iterdir()))


@pytest.fixture
def reader() -> Iterator[ImageReader]:
    reader = ImageReader(SIZE)
    yield reader
    reader.close()


def decoded(files: tuple[str, ...]) -> torch.Tensor:
    return torch.stack([torch.from_numpy(decode(file, SIZE).copy()) for file in files])


def read(reader: ImageReader, *blocks: tuple[str, ...]) -> list[torch.Tensor]:
    return [block.images for block in reader.read(blocks)]


def worker_pids() -> list[int]:
    return [child.pid for child in multiprocessing.active_children() if child.pid is not None]


def test_blocks_of_any_length_come_in_order(reader: ImageReader, files: tuple[str, ...]) -> None:
    blocks = (files[40:140], files[:1], files[10:43])
    assert [torch.equal(found, decoded(block)) for found, block in zip(read(reader, *blocks), blocks, strict=True)] == [
        True
    ] * 3


def test_no_blocks_are_no_images(reader: ImageReader) -> None:
    assert read(reader) == []


def test_several_workers_keep_the_order(files: tuple[str, ...]) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two processors")
    reader = ImageReader(SIZE, num_workers=2)
    try:
        assert torch.equal(torch.cat(read(reader, files[:70], files[70:])), decoded(files))
    finally:
        reader.close()


def test_checksum_is_of_the_pixels(reader: ImageReader, files: tuple[str, ...]) -> None:
    (first,) = reader.read([files[:3]])
    (second,) = reader.read([(files[2], files[0])])
    assert first.checksums[[2, 0]].tolist() == second.checksums.tolist()
    assert len(set(first.checksums.tolist())) == 3


def test_a_reading_given_up_does_not_disturb_the_next(reader: ImageReader, files: tuple[str, ...]) -> None:
    next(reader.read([files[:10], files[10:]]))
    assert torch.equal(read(reader, files[50:90])[0], decoded(files[50:90]))


def test_only_the_last_reading_goes_on(reader: ImageReader, files: tuple[str, ...]) -> None:
    first = reader.read([files[:10], files[10:]])
    next(first)
    next(reader.read([files]))
    with pytest.raises(RuntimeError, match="another reading"):
        next(first)


def test_the_ambient_generator_is_left_alone(reader: ImageReader, files: tuple[str, ...]) -> None:
    before = torch.get_rng_state()
    read(reader, files)
    assert torch.equal(torch.get_rng_state(), before)


def test_closing_ends_the_workers_even_in_the_middle(reader: ImageReader, files: tuple[str, ...]) -> None:
    unfinished = reader.read([files[:10], files[10:]])
    next(unfinished)
    pids = worker_pids()
    assert pids
    reader.close()
    assert worker_pids() == []
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_a_closed_reader_can_read_again(reader: ImageReader, files: tuple[str, ...]) -> None:
    read(reader, files[:5])
    reader.close()
    assert torch.equal(read(reader, files[:5])[0], decoded(files[:5]))


@pytest.mark.parametrize("damage", ["vanished", "truncated"])
def test_a_file_that_cannot_be_read_is_named(
    reader: ImageReader, files: tuple[str, ...], tmp_path: Path, damage: str
) -> None:
    broken = tmp_path / "broken.jpg"
    if damage == "truncated":
        broken.write_bytes(Path(files[0]).read_bytes()[:-200])
    with pytest.raises(DataError, match=f"image {broken} cannot be read") as error:
        read(reader, files[:40], (files[0], str(broken)))
    assert "Traceback" not in error.value.message
    assert error.value.hint == "replace or remove the file"


def test_a_killed_worker_is_replaced_and_it_is_said(
    reader: ImageReader, files: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    found = reader.read([files[:20]] * 30)
    images = [next(found).images]
    for pid in worker_pids():
        os.kill(pid, signal.SIGKILL)
    images += [block.images for block in found]
    assert all(torch.equal(block, decoded(files[:20])) for block in images)
    assert len(images) == 30
    assert "another takes its place" in caplog.text


def test_workers_that_keep_dying_end_the_reading(
    reader: ImageReader, files: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_follow_parent", _die)
    with pytest.raises(TasearchError, match="ended 3 times in a row"):
        read(reader, files)


def _die(_worker: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signals_to_the_process_group_do_not_end_workers(
    reader: ImageReader, files: tuple[str, ...], signum: int, caplog: pytest.LogCaptureFixture
) -> None:
    found = reader.read([files[:20]] * 30)
    next(found)
    for pid in worker_pids():
        os.kill(pid, signum)
    assert len(list(found)) == 29
    assert caplog.text == ""


def test_workers_end_with_a_process_that_is_killed(files: tuple[str, ...]) -> None:
    """Their images, larger than a pipe, are never taken from them."""
    code = f"""
import multiprocessing, os, signal
from tasearch.data.reader import ImageReader
if __name__ == "__main__":
    found = ImageReader(192).read([({files[0]!r},) * 32] * 9)
    next(found)
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    workers = [int(pid) for pid in done.stdout.split()]
    assert workers
    wait_until(lambda: not any(psutil.pid_exists(worker) for worker in workers))


def test_no_more_images_are_held_than_said(files: tuple[str, ...]) -> None:
    """Of 3,000 images of 110 KB, 330 MB, 64 wait for their turn and two blocks of 100 are in use, 29 MB."""
    code = f"""
import sys
from resource import RUSAGE_SELF, getrusage
from tasearch.data.reader import ImageReader
if __name__ == "__main__":
    reader = ImageReader(192, num_workers=1)
    blocks = [({files[0]!r},) * 100] * 30
    found = reader.read(blocks)
    next(found)
    before = getrusage(RUSAGE_SELF).ru_maxrss
    count = 1 + sum(1 for _ in found)
    held = (getrusage(RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == "darwin" else 1024)
    reader.close()
    print(count, reader.most_ahead, held < 80e6, held)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[:3] == ["30", "64", "True"]
