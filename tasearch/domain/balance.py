"""How evenly images are spread over the classes, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

WORTH_SAYING = 1.5
"""Times as many images in the largest class as in the smallest one."""


def imbalance(class_names: Sequence[str], counts: Mapping[str, Sequence[int]]) -> str | None:
    """Return one sentence on classes that differ in size; None where they hardly do.

    `counts`: images of each class by split, `train` and `val` among them.
    """
    train, val = counts["train"], counts["val"]
    least, most = min(train), max(train)
    if most < WORTH_SAYING * least:
        return None
    small, large = class_names[train.index(least)], class_names[train.index(most)]
    share = val[train.index(most)] / max(1, sum(val))
    return (
        f"classes are imbalanced: {most:,} training images of {large!r}, {least:,} of {small!r}; "
        f"always saying {large!r} is right on {100 * share:.1f}% of val"
    )


def effective_images(counts: Sequence[int]) -> int:
    """Return how many images, spread evenly, would pin the mean over classes down as well as `counts` do.

    The variance of a mean over K classes of shares p (1 - p) / n_k each, for the same p: p (1 - p) / N with
    N = K^2 / sum(1 / n_k).
    """
    return max(1, int(len(counts) ** 2 / sum(1 / max(1, count) for count in counts)))
