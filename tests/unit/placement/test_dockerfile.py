"""docker/Dockerfile, read by hadolint; nothing is built."""

from __future__ import annotations

import fnmatch
import json
import subprocess
import tomllib

from tests.unit.placement.checks import FILES, program


def instructions() -> list[tuple[str, str]]:
    """Return (instruction, arguments) in order, continued lines joined."""
    text = (FILES / "Dockerfile").read_text().replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines)]


def test_hadolint_finds_nothing() -> None:
    found = subprocess.run(
        [program("hadolint"), "--format", "json", str(FILES / "Dockerfile")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert json.loads(found.stdout) == []


def test_it_runs_as_nobody_special() -> None:
    users = [rest for word, rest in instructions() if word == "USER"]
    assert users == ["10001"]


def test_it_starts_tasearch() -> None:
    assert dict(instructions())["ENTRYPOINT"] == '["tasearch"]'


def test_what_it_copies_is_there_and_not_ignored() -> None:
    ignored = (FILES / "Dockerfile.dockerignore").read_text().splitlines()
    kept = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    copied = [source for word, rest in instructions() if word == "COPY" for source in rest.split()[:-1]]
    assert sorted(copied) == sorted(kept)
    assert all((FILES.parent / source).exists() for source in copied)


def test_the_image_has_what_the_build_needs() -> None:
    project = tomllib.loads((FILES.parent / "pyproject.toml").read_text())["project"]
    copied = " ".join(rest for word, rest in instructions() if word == "COPY").split()
    assert project["readme"] in copied
    assert any(fnmatch.fnmatch(name, "LICENSE*") for name in copied)


def test_versions_are_those_of_the_constraints() -> None:
    installs = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]
    assert len(installs) == 2
    assert all("--constraint constraints.txt" in rest for rest in installs)
