"""A command line in this process, in an empty folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from tasearch.cli.main import main

SMALL = (
    *("--threads", "1", "--precision", "float32"),
    *("--epochs", "1", "--trials", "2", "--replicates", "1", "--max-replicates", "1", "--limit-train", "30"),
)


@dataclass(frozen=True)
class Answer:
    """What a command line said and left."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one error line."""
        return self._only("error: ")

    @property
    def hint(self) -> str:
        """The one hint line."""
        return self._only("hint: ")

    def _only(self, prefix: str) -> str:
        found = [line for line in self.err.splitlines() if line.startswith(prefix)]
        assert len(found) == 1, self.err
        return found[0].removeprefix(prefix)


Run = Callable[[Sequence[str]], Answer]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def _as_before() -> Iterator[None]:
    """Put back what a command sets for its whole process."""
    deterministic, threads = torch.are_deterministic_algorithms_enabled(), torch.get_num_threads()
    yield
    torch.use_deterministic_algorithms(deterministic)
    torch.set_num_threads(threads)


@pytest.fixture
def run(_as_before: None, here: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in `here`."""

    def run(arguments: Sequence[str]) -> Answer:
        capsys.readouterr()
        code = main(list(arguments))
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return run


@pytest.fixture
def refuse(run: Run, here: Path) -> Run:
    """Run a command line that must be refused: exit code 2, one error, one hint, nothing created or changed."""

    def refuse(arguments: Sequence[str]) -> Answer:
        before = contents(here)
        answer = run(arguments)
        assert answer.code == 2, answer.err
        assert answer.out == ""
        assert len(answer.err.splitlines()) == 2, answer.err
        assert answer.error
        assert answer.hint
        assert contents(here) == before
        return answer

    return refuse


@pytest.fixture
def refuse_optimize(refuse: Run) -> Run:
    """Refuse `tasearch optimize --teacher plain6 --student plain2` with a tiny budget and further flags."""
    return lambda flags: refuse(["optimize", "--teacher", "plain6", "--student", "plain2", *SMALL, *flags])


def contents(folder: Path) -> dict[str, bytes | None]:
    """Return every path below a folder, with the bytes of files."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }
