"""Test accuracy of students trained in bfloat16 minus those trained in float32, paired by replicate.

    python tests/bench/precision_accuracy.py [--json] [--replicates 5]

plain6 > plain2 on cluttered-digits, 4,000 images, 6 epochs, temperature 4, KD weight 0.9; one teacher, trained in
float32; its logits and the students are computed in the precision that is compared.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tasearch.chain.stages import StagePlanner
from tasearch.data.dataset import DataRequest, Dataset
from tasearch.data.registry import load_dataset
from tasearch.data.splits import open_test
from tasearch.data.views import ViewSource, channel_statistics
from tasearch.domain.spec import ChainSpec, Recipe, StageSpec
from tasearch.models.registry import build_model
from tasearch.search.verdict import paired_interval
from tasearch.training.evaluate import accuracy, logits_table
from tasearch.training.loop import NUMERICS_VERSION, StageData, fit
from tasearch.training.precision import PRECISIONS
from tasearch.training.weights import load_weights
from tests.bench.random_stages import Unwatched
from tests.bench.stage_throughput import CPU

CHAIN = ChainSpec(path=("plain6", "plain2"), temperatures=(4.0,), kd_weights=(0.9,))
RECIPE = Recipe(
    epochs=6,
    batch_size=128,
    learning_rate=0.05,
    schedule="cosine",
    momentum=0.9,
    weight_decay=5e-4,
    precision="float32",
)


class Bench:
    """The data and the teacher, once for all replicates."""

    def __init__(self, dataset: Dataset) -> None:
        statistics = channel_statistics(dataset.train)
        splits = (dataset.train, dataset.val, open_test(dataset))
        train, val, self.test = (ViewSource(split, dataset.spec, statistics, CPU) for split in splits)
        self.data = StageData(train=train, val=val)
        self.stages = StagePlanner(
            teacher="plain6", data=dataset.spec, recipe=RECIPE, numerics_version=NUMERICS_VERSION
        )
        self.teacher = self._net(self.stages.teacher_stage, None)

    def student_accuracy(self, replicate: int, precision: str) -> float:
        """Return the test accuracy of one student."""
        (spec,) = self.stages.chain(CHAIN, replicate)
        spec = dataclasses.replace(spec, recipe=dataclasses.replace(RECIPE, precision=precision))
        return accuracy(self._net(spec, self.teacher), self.test, precision=precision)

    def _net(self, spec: StageSpec, teacher: nn.Module | None) -> nn.Module:
        def logits(epoch: int) -> Tensor:
            assert teacher is not None
            views = self.data.train.views(spec.replicate, epoch)
            return logits_table(teacher, views, precision=spec.recipe.precision, tick=lambda: None)

        trained = fit(spec, self.data, CPU, Unwatched(), teacher_logits=logits if teacher else None)
        net = build_model(spec.student, seed=0)
        load_weights(net, trained.weights)
        return net.to(memory_format=torch.channels_last).eval()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one object")
    parser.add_argument("--replicates", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        request = DataRequest(name="cluttered-digits", data_dir=Path(folder), limit_train=4000)
        bench = Bench(load_dataset(request))
    found = {
        precision: [bench.student_accuracy(replicate, precision) for replicate in range(1, arguments.replicates + 1)]
        for precision in PRECISIONS
    }
    pairs = zip(found["bfloat16"], found["float32"], strict=True)
    interval = paired_interval([fast - exact for fast, exact in pairs])
    answer = {**found, "difference": interval.mean, "ci_low": interval.low, "ci_high": interval.high, "n": interval.n}
    if arguments.json:
        print(json.dumps(answer, indent=2))
        return
    for precision in PRECISIONS:
        print(f"{precision}: " + " ".join(f"{100 * value:.1f}%" for value in found[precision]))
    low, high = 100 * (interval.low or 0.0), 100 * (interval.high or 0.0)
    print(
        f"bfloat16 minus float32: {100 * interval.mean:+.2f} points, 95% CI [{low:.2f}, {high:.2f}], n = {interval.n}"
    )


if __name__ == "__main__":
    main()
