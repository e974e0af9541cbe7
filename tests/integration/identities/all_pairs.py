"""All pairs of nets."""

from __future__ import annotations

from tests.integration.identities.of_code import OF_CODE
from tests.integration.identities.of_modules import OF_MODULES
from tests.integration.identities.of_objects import OF_OBJECTS
from tests.integration.identities.of_values import OF_VALUES
from tests.integration.identities.same_nets import SAME
from tests.integration.identities.unusual_nets import UNUSUAL

PAIRS = [*OF_CODE, *OF_VALUES, *OF_OBJECTS, *OF_MODULES, *SAME, *UNUSUAL]
