"""A study's verdict, figures and chains inside its own database, for whoever opens it with optuna-dashboard."""

from __future__ import annotations

import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)


def note_study(url: str, study_name: str, say: Callable[[str], None]) -> None:
    """Write the notes and figures of a study whose search or finals have ended.

    Never raises for what goes wrong on the way: a study does not fail for want of its notes. `say` is told.
    """
    # Imported here: both take seconds, and are needed once at the end.
    from tasearch.dashboard.notebook import write_notes
    from tasearch.dashboard.notes import StageFacts, StudyFacts
    from tasearch.report.figures import figures
    from tasearch.report.query import find_study, load_view
    from tasearch.report.view import headline
    from tasearch.stores.records import open_records
    from tasearch.stores.stage_outcomes import stage_outcomes

    try:
        view = load_view(url, study_name)
        records = open_records(url)
        try:
            outcomes = stage_outcomes(records.engine, study_name)
            ladder = tuple(find_study(records, study_name).identity["tas"])
        finally:
            records.close()
        facts = StudyFacts(
            study_name=study_name,
            headline=headline(view),
            remarks=() if view.verdict is None else view.verdict.notes,
            teacher=view.teacher.name,
            student=view.student.name,
            ladder=ladder,
            dataset=view.dataset,
            command=view.command,
            trials=view.trials,
            measure=view.measure,
        )
        stages = {
            stage.fingerprint: StageFacts(val_accuracy=stage.val_accuracy, seconds=stage.seconds) for stage in outcomes
        }
        drawn = {name: figure.to_json() for name, figure in figures(view).items()}
        written = write_notes(url, facts, stages, drawn)
    except Exception as error:
        # Whatever it is: the study is done, and its report has everything.
        logger.debug("notes of %s", study_name, exc_info=True)
        message = " ".join(str(error).split())
        say(f"the notes for the dashboard were not written: {message}; the study is not affected")
        return
    if written.left_out:
        say(f"too large for the dashboard, only in the report: {', '.join(written.left_out)}")
    if written.edited:
        say(f"notes in the dashboard that somebody has edited were left as they are: {written.edited}")
