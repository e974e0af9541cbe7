"""`--recipe paper-code` beside an independent loop that follows the released code, stage by stage.

    python tests/bench/paper_code_agreement.py [--replicates 3] [--epochs 5] [--images 1920]

Prints one JSON object. The loop is written from the description of the released procedure and shares nothing with
tasearch but the images: its own nets with torch's default weights, shuffling, normalisation by fixed numbers, SGD, and
nn.KLDivLoss() as that code calls it. plain10 > plain4 > plain2 on cluttered-digits; every stage is retrained on every
replicate, its teacher too, and judged on half of val after the last epoch. "Agrees": Welch's 95% interval of the
difference of the means holds zero. With n = 3 it is wide: it is printed, and says what could have been seen.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tasearch.config.settings import Settings
from tasearch.data.dataset import DataRequest, Dataset, Split
from tasearch.data.registry import load_dataset
from tasearch.data.views import ViewSource, channel_statistics
from tasearch.domain.spec import Distillation, StageSpec
from tasearch.models.registry import build_model
from tasearch.training.evaluate import logits_table
from tasearch.training.loop import StageData, fit
from tasearch.training.weights import load_weights
from tasearch.worker.study_plan import augment_of, build_plan
from tests.bench.random_stages import Unwatched
from tests.bench.stage_throughput import CPU

TEMPERATURE, KD_WEIGHT = 5.0, 0.5
STAGES = ("plain10 from labels", "plain4 from labels", "plain2 from labels", "plain10 > plain4", "plain4 > plain2")
LAYERS = {
    "plain2": ([[16], [16]], []),
    "plain4": ([[16, 16], [32, 32]], []),
    "plain10": ([[32, 32], [64, 64], [128, 128], [256, 256, 256, 256]], [128]),
}
"""Channels of the convolutions between pools, and widths of the hidden linear layers."""


class ReleasedProcedure:
    """The released code's training, one stage at a time."""

    def __init__(self, dataset: Dataset, epochs: int, seed: int) -> None:
        assert isinstance(dataset.train, Split)
        assert isinstance(dataset.val, Split)
        self.train, self.val = _tensors(dataset.train), _tensors(dataset.val)
        self.size, self.classes, self.epochs = dataset.spec.image_size, dataset.spec.num_classes, epochs
        torch.manual_seed(seed)

    def accuracies(self) -> dict[str, float]:
        """Train every stage and return its val accuracy."""
        found = {}
        nets: dict[str, nn.Module] = {}
        for name in ("plain10", "plain4", "plain2"):
            nets[name], found[f"{name} from labels"] = self._stage(name, None)
        ta, found["plain10 > plain4"] = self._stage("plain4", nets["plain10"])
        _, found["plain4 > plain2"] = self._stage("plain2", ta)
        return found

    def _stage(self, name: str, teacher: nn.Module | None) -> tuple[nn.Module, float]:
        net = self._net(name)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
        images, labels = self.train
        for _ in range(self.epochs):
            net.train()
            order = torch.randperm(len(labels))
            for start in range(0, len(order), 128):
                batch = order[start : start + 128]
                logits = net(images[batch])
                loss = F.cross_entropy(logits, labels[batch])
                if teacher is not None:
                    with torch.no_grad():
                        soft = F.softmax(teacher(images[batch]) / TEMPERATURE, dim=1)
                    # nn.KLDivLoss() of that time: the mean over all elements.
                    elements = nn.KLDivLoss(reduction="none")(F.log_softmax(logits / TEMPERATURE, dim=1), soft)
                    loss = (1 - KD_WEIGHT) * loss + KD_WEIGHT * TEMPERATURE**2 * elements.mean()
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        net.eval()
        images, labels = self.val
        with torch.no_grad():
            blocks = [images[start : start + 500] for start in range(0, len(labels), 500)]
            right = torch.cat([net(block).argmax(dim=1) for block in blocks]) == labels
        return net, float(right.float().mean())

    def _net(self, name: str) -> nn.Module:
        groups, hidden = LAYERS[name]
        layers: list[nn.Module] = []
        width, size = 1, self.size
        for group in groups:
            for channels in group:
                layers += [nn.Conv2d(width, channels, 3, padding=1), nn.BatchNorm2d(channels), nn.ReLU()]
                width = channels
            layers.append(nn.MaxPool2d(2))
            size //= 2
        layers.append(nn.Flatten())
        features = width * size * size
        for more in hidden:
            layers += [nn.Linear(features, more), nn.ReLU()]
            features = more
        return nn.Sequential(*layers, nn.Linear(features, self.classes))


def _tensors(split: Split) -> tuple[Tensor, Tensor]:
    """Return images normalised by fixed numbers, as the code does for both of its data sets."""
    return (split.images.float() / 255 - 0.48) / 0.27, split.labels


class OurRecipe:
    """The same stages by tasearch under `--recipe paper-code`."""

    def __init__(self, dataset: Dataset, settings: Settings) -> None:
        self.stages = build_plan(settings, dataset).stages.with_precision("float32")
        statistics = channel_statistics(dataset.train)
        train, val = (ViewSource(split, dataset.spec, statistics, CPU) for split in (dataset.train, dataset.val))
        self.data = StageData(train=train, val=val)

    def accuracies(self, replicate: int) -> dict[str, float]:
        """Train every stage of a replicate and return its val accuracy."""
        found = {}
        labels = {name: self.stages.from_labels(name, replicate) for name in ("plain10", "plain4", "plain2")}
        nets = {}
        for name, spec in labels.items():
            nets[name], found[f"{name} from labels"] = self._stage(spec, None)
        ta_spec = self._taught(labels["plain4"], labels["plain10"])
        ta, found["plain10 > plain4"] = self._stage(ta_spec, nets["plain10"])
        _, found["plain4 > plain2"] = self._stage(self._taught(labels["plain2"], ta_spec), ta)
        return found

    def _taught(self, student: StageSpec, teacher: StageSpec) -> StageSpec:
        distillation = Distillation(
            teacher=teacher,
            temperature=TEMPERATURE,
            kd_weight=KD_WEIGHT,
            kl_reduction=self.stages.kl_reduction,
        )
        return StageSpec(
            student=student.student,
            distillation=distillation,
            recipe=student.recipe,
            data=student.data,
            replicate=student.replicate,
            numerics_version=student.numerics_version,
        )

    def _stage(self, spec: StageSpec, teacher: nn.Module | None) -> tuple[nn.Module, float]:
        trained = fit(spec, self.data, CPU, Unwatched(), teacher_logits=self._logits(spec, teacher))
        net = build_model(spec.student, seed=0)
        load_weights(net, trained.weights)
        return net.to(memory_format=torch.channels_last).eval(), trained.curve[-1].val_accuracy

    def _logits(self, spec: StageSpec, teacher: nn.Module | None) -> Callable[[int], Tensor] | None:
        if teacher is None:
            return None
        return lambda epoch: logits_table(
            teacher, self.data.train.views(spec.replicate, epoch), precision="float32", tick=lambda: None
        )


def compared(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, Any]:
    """Return means and Welch's 95% interval of ours minus theirs."""
    interval = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    return {
        "ours": list(ours),
        "theirs": list(theirs),
        "difference": sum(ours) / len(ours) - sum(theirs) / len(theirs),
        "ci_low": float(interval.low),
        "ci_high": float(interval.high),
        "agrees": bool(interval.low <= 0 <= interval.high),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--replicates", type=int, default=3, help="of each stage, on either side, at least 2")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", type=int, default=1920, help="training images; 15 full batches by default")
    arguments = parser.parse_args()
    chosen = {"teacher": "plain10", "student": "plain2", "recipe": "paper-code", "epochs": arguments.epochs}
    settings = Settings(**chosen)
    with tempfile.TemporaryDirectory() as folder:
        request = DataRequest(
            name=settings.dataset,
            data_dir=Path(folder),
            limit_train=arguments.images,
            augment=augment_of(settings),
        )
        dataset = load_dataset(request)
    dataset = dataclasses.replace(dataset, val=dataset.val.subset(torch.arange(0, len(dataset.val), 2)))
    started = time.monotonic()
    replicates = range(1, arguments.replicates + 1)
    recipe = OurRecipe(dataset, settings)
    ours = [recipe.accuracies(replicate) for replicate in replicates]
    theirs = [ReleasedProcedure(dataset, arguments.epochs, seed).accuracies() for seed in replicates]
    stages = {stage: compared([one[stage] for one in ours], [one[stage] for one in theirs]) for stage in STAGES}
    answer = {
        "n": arguments.replicates,
        "epochs": arguments.epochs,
        "images": arguments.images,
        "temperature": TEMPERATURE,
        "kd_weight": KD_WEIGHT,
        "stages": stages,
        "agree": sum(stage["agrees"] for stage in stages.values()),
        "seconds": time.monotonic() - started,
    }
    print(json.dumps(answer, indent=2))


if __name__ == "__main__":
    main()
