"""tasearch finds the best teacher-assistant chain for knowledge distillation.

From Python: `optimize(StudyConfig(...))` runs a study and returns its results, the other functions are for studies
that are there. What is named here is imported when it is first used, so that `import tasearch` takes no time.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tasearch.api.config import StudyConfig
    from tasearch.api.delivering import Exported, export_student, reproduce_trial
    from tasearch.api.objects import register_model
    from tasearch.api.removing import delete_study, stop_study
    from tasearch.api.results import StudyResults
    from tasearch.api.running import forecast, join_study, optimize
    from tasearch.api.studies import StudyStatus, StudySummary, list_studies, load_study, study_status, write_report
    from tasearch.domain.errors import TasearchError

__version__ = "0.1.0"

_MODULES = {
    "StudyConfig": "tasearch.api.config",
    "StudyResults": "tasearch.api.results",
    "optimize": "tasearch.api.running",
    "forecast": "tasearch.api.running",
    "join_study": "tasearch.api.running",
    "StudyStatus": "tasearch.api.studies",
    "StudySummary": "tasearch.api.studies",
    "list_studies": "tasearch.api.studies",
    "load_study": "tasearch.api.studies",
    "study_status": "tasearch.api.studies",
    "write_report": "tasearch.api.studies",
    "Exported": "tasearch.api.delivering",
    "export_student": "tasearch.api.delivering",
    "reproduce_trial": "tasearch.api.delivering",
    "register_model": "tasearch.api.objects",
    "delete_study": "tasearch.api.removing",
    "stop_study": "tasearch.api.removing",
    "TasearchError": "tasearch.domain.errors",
}
__all__ = [
    "Exported",
    "StudyConfig",
    "StudyResults",
    "StudyStatus",
    "StudySummary",
    "TasearchError",
    "__version__",
    "delete_study",
    "export_student",
    "forecast",
    "join_study",
    "list_studies",
    "load_study",
    "optimize",
    "register_model",
    "reproduce_trial",
    "stop_study",
    "study_status",
    "write_report",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'tasearch' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
