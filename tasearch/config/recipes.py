"""Recipes by name: how a stage is trained where no flag says otherwise.

`paper` follows the text of Mirzadeh et al. (AAAI 2020), `paper-code` the code that they released (commit 0f8168f),
which differs from the text. What neither fixes, or what cannot matter here, is as in `default`:

- The batch size is 128; the paper does not name one, the code has 128.
- Images are normalised by the mean and standard deviation of the training images. The paper and its code divide by
  other numbers; every net here begins with a convolution and a batch norm, which undo that up to the padded border.
- Initial weights (`models/initialise.py`), but for the plain nets of the code.
- An epoch's last partial batch is dropped.
- The last epoch is judged on val, not the best one on test.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class FamilyValues:
    """What a recipe may have different for another family of nets."""

    learning_rate: float
    schedule: str
    weight_decay: float
    milestones: tuple[float, ...] = (0.5, 0.75)
    """Of the schedule `step`, as fractions of the run, so that they move with --epochs."""
    initial_weights: str = "he"


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """One named recipe."""

    epochs: int | None
    """None: by data."""
    augment: str | None
    """None: by data."""
    plain: FamilyValues
    """For the plain CNNs."""
    others: FamilyValues
    """For every other family."""
    momentum: float = 0.9
    nesterov: bool = True
    warmup: float = 0.05
    decayed: str = "kernels"
    kl_reduction: str = "batchmean"

    def of_family(self, family: str) -> FamilyValues:
        """Return the values for one family of nets."""
        return self.plain if family == "plain" else self.others


_OURS = FamilyValues(learning_rate=0.05, schedule="cosine", weight_decay=5e-4)

PRESETS: dict[str, Preset] = {
    "default": Preset(epochs=None, augment=None, plain=_OURS, others=_OURS),
    # Section 4.1: Nesterov 0.9, 150 epochs; plain CNNs at 0.1 throughout and without weight decay, ResNets at 0.1, 0.01
    # from epoch 80 and 0.001 from epoch 120 with weight decay 1e-4. No augmentation and no warm-up are mentioned, nor
    # that weight decay would spare anything.
    "paper": Preset(
        epochs=150,
        augment="none",
        plain=FamilyValues(learning_rate=0.1, schedule="constant", weight_decay=0.0),
        others=FamilyValues(learning_rate=0.1, schedule="step", weight_decay=1e-4, milestones=(80 / 150, 120 / 150)),
        warmup=0.0,
        decayed="all",
    ),
    # train.py: momentum without Nesterov, weight decay on every parameter of every net, plain CNNs at 0.01. A condition
    # that is never true leaves ResNets at 0.01 until 3/4 of the epochs, then 0.001. 160 epochs are the README's (200 is
    # the script's own default). nn.KLDivLoss() averages over classes too. Plain nets start with torch's own weights,
    # ResNets with those of He et al.
    "paper-code": Preset(
        epochs=160,
        augment="none",
        plain=FamilyValues(learning_rate=0.01, schedule="constant", weight_decay=1e-4, initial_weights="uniform"),
        others=FamilyValues(learning_rate=0.01, schedule="step", weight_decay=1e-4, milestones=(3 / 4,)),
        nesterov=False,
        warmup=0.0,
        decayed="all",
        kl_reduction="mean",
    ),
}
"""Every recipe; `Settings.recipe` takes one of these names."""
