"""Nets that differ in the modules that they use."""

from __future__ import annotations

from tests.integration.identities.pairs import CELL, FILE, HELPER, SCRIPT, net, pair

CHANGED = ("K = 2.0", "K = 3.0")
OF_MODULES = [
    *pair(
        "an imported function",
        net("act(self.features(x))", "from net_helper import act"),
        CHANGED,
        files=HELPER,
        kinds=(FILE, SCRIPT, CELL),
    ),
    *pair("all names of a module", net("act(self.features(x))", "from net_helper import *"), CHANGED, files=HELPER),
    *pair(
        "an attribute of a module", net("net_helper.act(self.features(x))", "import net_helper"), CHANGED, files=HELPER
    ),
    *pair(
        "a class by its module", net("net_helper.Act()(self.features(x))", "import net_helper"), CHANGED, files=HELPER
    ),
    *pair(
        "a module by importlib",
        net("H.act(self.features(x))", "H = importlib.import_module('net_helper')"),
        CHANGED,
        files=HELPER,
    ),
    *pair(
        "importlib in forward",
        net("importlib.import_module('net_' + 'helper').act(self.features(x))"),
        CHANGED,
        files=HELPER,
    ),
    *pair(
        "an import in forward",
        net("act(self.features(x))").replace("return act", "from net_helper import act\n        return act"),
        CHANGED,
        files=HELPER,
    ),
    *pair(
        "a file by its place",
        net(
            "H.act(self.features(x))",
            """\
SPEC = importlib.util.spec_from_file_location('net_by_place', Path('net_helper.py').resolve())
H = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(H)""",
        ),
        CHANGED,
        files=HELPER,
    ),
    *pair(
        "a value that was put into a module",
        net("net_helper.act(self.features(x))", "import net_helper\nnet_helper.K = 2.0"),
        ("net_helper.K = 2.0", "net_helper.K = 3.0"),
        files=HELPER,
    ),
    *pair(
        "a module that was loaded again",
        net(
            "net_helper.act(self.features(x))",
            """\
import net_helper
if EDIT:
    Path('net_helper.py').write_text(Path('net_helper.py').read_text().replace('K = 2.0', 'K = 30.0'))
    importlib.reload(net_helper)""",
        ).replace(
            "# %%\nimport",
            """\
# %%
EDIT = False
import""",
            1,
        ),
        ("EDIT = False", "EDIT = True"),
        files=HELPER,
        kinds=(CELL, SCRIPT),
    ),
    *pair(
        "a decorator from a file",
        """\
# %%
from net_helper import decorated
@decorated
class Net(Base):
    def forward(self, x):
        return self.features(x)
def make(num_classes):
    return Net(num_classes)
""",
        ("* 2", "* 3"),
        files={
            "net_helper.py": """\
def decorated(kind):
    was = kind.forward
    kind.forward = lambda self, x: was(self, x) * 2
    return kind
"""
        },
    ),
    *pair(
        "a module of a package",
        net("act(self.features(x))", "from net_package.parts.acts import act"),
        ("x * 2", "x * 3"),
        files={
            "net_package/__init__.py": "",
            "net_package/parts/__init__.py": "",
            "net_package/parts/acts.py": """\
from ..base import double
def act(x):
    return double(x)
""",
            "net_package/base.py": """\
def double(x):
    return x * 2
""",
        },
    ),
]
