"""What images take, and what is free: the machine's memory or the control group's limit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tasearch.data import memory

GB = 10**9


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with 8 GB available, without control groups."""
    (tmp_path / "meminfo").write_text(f"MemTotal: {16 * GB // 1024} kB\nMemAvailable:  {8 * GB // 1024} kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_MEMBERSHIP", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "_CGROUPS", tmp_path / "groups")
    return tmp_path


def limit(folder: Path, files: tuple[str, str], most: object, used: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / files[0]).write_text(f"{most}\n")
    (folder / files[1]).write_text(f"{used}\n")


VERSION_1 = "memory.limit_in_bytes", "memory.usage_in_bytes"
VERSION_2 = "memory.max", "memory.current"


def test_without_a_group_all_of_the_machine_is_available(machine: Path) -> None:
    assert memory.available_bytes() == pytest.approx(8 * GB, abs=1024)


def test_the_limit_of_a_group_counts_less_what_is_used(machine: Path) -> None:
    (machine / "cgroup").write_text("0::/job\n")
    limit(machine / "groups" / "job", VERSION_2, 3 * GB, GB)
    assert memory.available_bytes() == 2 * GB


def test_a_limit_further_up_counts_too(machine: Path) -> None:
    (machine / "cgroup").write_text("0::/user/job\n")
    limit(machine / "groups" / "user" / "job", VERSION_2, "max", GB)
    limit(machine / "groups" / "user", VERSION_2, 2 * GB, GB)
    assert memory.available_bytes() == GB


def test_groups_of_version_1_count(machine: Path) -> None:
    (machine / "cgroup").write_text("5:cpu,cpuacct:/\n4:memory:/job\n0::/\n")
    limit(machine / "groups" / "memory" / "job", VERSION_1, 4 * GB, GB)
    assert memory.available_bytes() == 3 * GB


def test_a_container_sees_only_its_own_root(machine: Path) -> None:
    (machine / "cgroup").write_text("0::/of/the/host\n")
    limit(machine / "groups", VERSION_2, 2 * GB, GB)
    assert memory.available_bytes() == GB


def test_half_of_what_is_free_may_be_taken(machine: Path) -> None:
    assert memory.default_limit(torch.device("cpu")) == pytest.approx(4 * GB, abs=1024)


def test_the_memory_of_a_gpu_counts_too(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (GB, 2 * GB))
    assert memory.default_limit(torch.device("cuda")) == GB // 2


def test_images_count_decoded_and_padded() -> None:
    assert memory.bytes_of(10, 8, channels=1) == 10 * (8 * 8 + 10 * 10)
