from __future__ import annotations

import pytest

from tasearch.report.view import StudyView

from .factories import make_view


@pytest.fixture
def view() -> StudyView:
    return make_view()
