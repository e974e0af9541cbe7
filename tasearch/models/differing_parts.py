"""Which parts of a net of the user's differ from those that a study recorded, said so that a user finds them."""

from __future__ import annotations

from collections.abc import Mapping

from tasearch.models.description import sha256

_MOST = 300
"""Parts that are recorded each by itself; of nets with more the layers are recorded together."""
_DIGITS = 8
_NET = "(net)"
_FIRST = ("file of", "function", "class", "environment variable", "values of")
_LAST = ("operations of", "is ")


def recorded_parts(parts: Mapping[str, str]) -> dict[str, str]:
    """Return short hashes of parts to keep with a study, few enough for any net."""
    short = {name: sha256(text)[:_DIGITS] for name, text in parts.items()}
    kept = {name: text for name, text in short.items() if len(short) <= _MOST or not _is_of_layer(name)}
    if len(kept) > _MOST:
        kept = {name: text for name, text in kept.items() if name.startswith((*_FIRST, *_LAST))}
    kept = dict(list(kept.items())[:_MOST])
    rest = sorted(f"{name} {text}" for name, text in short.items() if name not in kept)
    return kept | ({"its layers and their values": sha256(" ".join(rest))[:_DIGITS]} if rest else {})


def differing_parts(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names of parts that differ, causes before what follows from them, as a user would say them."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    order = sorted(names, key=lambda name: (_rank(name), name))
    causes = [name for name in order if _rank(name) < len(_FIRST) + 1] or order
    return list(dict.fromkeys(_in_words(name) for name in causes))


def are_computed_values(names: list[str]) -> bool:
    """Whether nothing but values of tensors differs, which processors may compute differently."""
    return bool(names) and all(name.startswith("the values of") for name in names)


def _rank(name: str) -> int:
    for rank, beginning in enumerate(_FIRST):
        if name.startswith(beginning):
            return rank
    return len(_FIRST) + (1 if name.startswith(_LAST) else 0)


def _is_of_layer(name: str) -> bool:
    return name.startswith((_NET, "shape of", "values of"))


def _in_words(name: str) -> str:
    if name.startswith(_NET):
        return f"layer or attribute {name.removeprefix(_NET).lstrip('.') or 'of the net'}"
    if name.startswith("file of "):
        return f"the file of module {name.removeprefix('file of ')}"
    if name.startswith("values of "):
        return f"the values of {name.removeprefix('values of ')}"
    if name.startswith("shape of "):
        return f"the shape of {name.removeprefix('shape of ')}"
    if name.startswith("operations of "):
        return f"the operations that torch runs ({name.removeprefix('operations of ')})"
    return name if name.startswith(_FIRST) or name.startswith("its ") else f"value {name}"
