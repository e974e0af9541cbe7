"""Default learning rates, under which distillation does not hurt."""

from __future__ import annotations

from tasearch.models.registry import family_of

DEFAULT_LEARNING_RATES = {"plain": 0.01, "resnet": 0.05}
"""Peak rates by family.

Matching a teacher's logits is nearly quadratic, and unlike cross-entropy it does not flatten as the student gets
better: the stable rate is inversely proportional to the squared norm of the features before the last layer. The plain
nets flatten whole feature maps there, the ResNets average them.
"""


def default_learning_rate(model: str) -> float:
    """Return the peak learning rate of a model. Raises ModelError for an unknown name."""
    return DEFAULT_LEARNING_RATES[family_of(model)]
