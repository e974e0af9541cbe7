"""`tasearch landscape`: the loss around students that a study has trained, from their stored weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from tasearch.data.views import ViewSource, normalisation_of
from tasearch.domain.errors import ArtifactError, StorageError
from tasearch.domain.landscape import Student, Surface, grid
from tasearch.domain.randomness import seed_for
from tasearch.models.registry import build_model
from tasearch.models.traits import placed
from tasearch.stores.records import Records
from tasearch.training.landscape import filter_normalised_direction, loss_plane
from tasearch.training.loop import InterruptedStage
from tasearch.training.weights import load_weights
from tasearch.worker.identity import net_parts, refuse_changed_identity
from tasearch.worker.session import Session


def surfaces_of(
    session: Session, records: Records, students: Sequence[Student], *, resolution: int, num_images: int
) -> list[Surface]:
    """Return the loss around each student on the training images; nothing is trained or written.

    Students of one replicate move along the same random draws, each scaled by its own filters. Raises ConfigError where
    the data are not the study's, ArtifactError where weights are missing, InterruptedStage after a signal.
    """
    name = session.plan.study_name
    stored = records.studies.find(name)
    if stored is None:
        raise StorageError(f"no study named {name!r} in this database", hint="`tasearch studies` lists those it has")
    refuse_changed_identity(name, stored.identity, session.plan.identity, net_parts(stored.config, session.plan.stages))
    session.plan = session.plan.with_precision(stored.config["recipe"]["precision"])
    train = session.dataset.train
    source = ViewSource(train, session.dataset.spec, normalisation_of(session.dataset.spec, train), session.device)
    session.stop.is_watched = True

    def tick() -> None:
        if session.stop.is_set:
            raise InterruptedStage

    found = []
    try:
        for student in students:
            net = _net(session, records, student)
            seeds = [seed_for(student.replicate, "landscape", axis) for axis in (1, 2)]
            one, other = (filter_normalised_direction(net, seed) for seed in seeds)
            losses = loss_plane(net, source, (one, other), grid(resolution), num_images=num_images, tick=tick)
            found.append(Surface(student=student, steps=grid(resolution), losses=losses))
            session.display.line(
                f"replicate {student.replicate}: {student.arm}: the loss rises by {found[-1].rise:.3f} nats"
            )
    finally:
        session.dataset.close()
    return found


def _net(session: Session, records: Records, student: Student) -> torch.nn.Module:
    stages = session.plan.stages
    if student.chain is None:
        spec = stages.from_labels(session.plan.space.student, student.replicate)
    else:
        spec = stages.chain(student.chain, student.replicate)[-1]
    row = records.stages.find(spec.fingerprint)
    if row is None or row.artifact_id is None:
        raise ArtifactError(
            f"the weights of {spec.label} are not stored",
            hint="`tasearch optimize` with the study's flags trains what is missing",
        )
    net = build_model(spec.student, seed=0)
    load_weights(net, session.artifacts.get(row.artifact_id))
    return placed(net, session.device)
