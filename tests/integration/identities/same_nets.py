"""Nets that are the same, although something about them is not."""

from __future__ import annotations

from tests.integration.identities.pairs import CELL, FILE, HELPER, SCRIPT, net, pair

STUDY = """\

# %%
import argparse
TRIALS = 1
args = argparse.Namespace(width=1.0, trials=1)
def report():
    print(TRIALS)
"""
SAME = [
    *pair("nothing", net("self.features(x)"), kinds=(FILE, SCRIPT, CELL), is_same=True),
    *pair(
        "the study part of a script",
        net("self.features(x)") + STUDY,
        ("TRIALS = 1", "TRIALS = 2"),
        kinds=(SCRIPT, CELL),
        is_same=True,
    ),
    *pair(
        "another function of a script",
        net("self.features(x)") + STUDY,
        ("print(TRIALS)", "print(TRIALS, 'trials')"),
        kinds=(SCRIPT, CELL),
        is_same=True,
    ),
    *pair(
        "another entry of the settings",
        net("self.features(x) * args.width") + STUDY,
        ("trials=1", "trials=2"),
        kinds=(SCRIPT, CELL),
        is_same=True,
    ),
    *pair(
        "another entry of a dict",
        net("self.features(x) * CFG['k']", "CFG = {'k': 2.0, 'trials': 1}"),
        ("'trials': 1", "'trials': 2"),
        kinds=(SCRIPT, CELL),
        is_same=True,
    ),
    *pair(
        "a comment in a script",
        net("self.features(x)", "# one"),
        ("# one", "# two\n# three"),
        kinds=(SCRIPT, CELL),
        is_same=True,
    ),
    *pair(
        "layout in a script",
        net("self.features(x) * 2"),
        ("(x) * 2", "(\n            x) *  2"),
        kinds=(SCRIPT, CELL),
        is_same=True,
    ),
    *pair(
        "line endings",
        net("act(self.features(x))", "from net_helper import act"),
        ("K = 2.0\n", "K = 2.0\r\n"),
        files=HELPER,
        is_same=True,
    ),
    *pair(
        "a file that only the study reads",
        net("self.features(x)", "import net_study"),
        ("SEED = 1", "SEED = 2"),
        files={"net_study.py": "SEED = 1\n"},
        kinds=(SCRIPT, CELL),
        is_same=True,
    ),
    *pair(
        "sets in what prints",
        net("self.features(x)").replace(
            "    def forward",
            """\
    def extra_repr(self):
        return str(set('abcdefgh'))
    def __repr__(self):
        return str(set('abcdefgh'))
    def forward""",
        ),
        kinds=(FILE, CELL),
        is_same=True,
    ),
    *pair(
        "a dict filled from a set",
        net("self.features(x)")
        + """\
# %%
class Net(Base):
    def __init__(self, n):
        super().__init__(n)
        self.ids = {key: len(key) for key in set('abcdefgh')}
        self.names = set('abcdefgh')
    def forward(self, x):
        return self.features(x) * len(NAMES)
NAMES = set('abcdefgh')
""",
        kinds=(FILE, CELL),
        is_same=True,
    ),
    *pair(
        "a set of functions",
        net("self.features(x) * len(ACTS)", "ACTS = {F.relu, F.gelu, torch.sin, math.sin, str, int}"),
        is_same=True,
    ),
    *pair(
        "the folder of the net",
        net("self.features(x)")
        + """\
# %%
class Net(Base):
    def __init__(self, n):
        super().__init__(n)
        self.here = Path.cwd()
        self.text = str(Path.cwd() / 'weights.pt')
    def forward(self, x):
        return self.features(x)
""",
        kinds=(FILE, SCRIPT, CELL),
        is_same=True,
    ),
    *pair(
        "locks, files and loggers",
        net(
            "use(self.features(x), LOCK, LOG, OUT)",
            """\
import threading, logging
LOCK, LOG = threading.RLock(), logging.getLogger('net')
OUT = open(os.devnull)
def use(x, *more):
    return x""",
        ),
        is_same=True,
    ),
    *pair(
        "objects that know each other",
        net(
            "self.features(x) * len(A.all)",
            """\
class C:
    def __init__(self): self.all = []
A, B = C(), C()
A.all = B.all = [A, B]""",
        ),
        is_same=True,
    ),
    *pair(
        "a huge dict that is not reached",
        net("self.features(x)", "HUGE = {n: [n] for n in range(300_000)}"),
        ("300_000", "300_001"),
        kinds=(SCRIPT, CELL),
        is_same=True,
    ),
    *pair(
        "a count of nets",
        net("self.features(x)", "COUNT = [0]")
        + """\
# %%
def make(num_classes):
    COUNT[0] += 1
    return Net(num_classes)
""",
        is_same=True,
    ),
    *pair(
        "what is computed once",
        net(
            "self.features(x) * table(x.shape[-1])",
            """\
KNOWN = {}
def table(size):
    if size not in KNOWN:
        KNOWN[size] = torch.full((1,), 2.0)
    return KNOWN[size]""",
        ),
        is_same=True,
    ),
    *pair(
        "an environment variable of others",
        net("self.features(x) * float(os.environ.get('NET_K', '2'))"),
        environments=({}, {"OTHERS": "3"}),
        is_same=True,
    ),
    *pair(
        "imports in the cell of the class",
        net("nn.ReLU()(self.features(x))", "from torch import nn"),
        ("\n# %%\nclass Net", "\nclass Net"),
        kinds=(CELL,),
        is_same=True,
    ),
    *pair(
        "the time of a cell",
        net("nn.ReLU()(self.features(x))"),
        ("# %%\nclass Net", "# %%\n%%time\nclass Net"),
        kinds=(CELL,),
        is_same=True,
    ),
    *pair(
        "a folder of the machine",
        net(
            "self.features(x) * len(PLACES)",
            "import tempfile\nPLACES = [Path.home() / 'weights', f'{tempfile.gettempdir()}/weights']",
        ),
        kinds=(CELL,),
        environments=({}, {"HOME": "/home/somebody"}),
        is_same=True,
    ),
    *pair(
        "an environment variable of the machine",
        net("self.features(x) * len(os.environ['USER'][:1] + os.environ['OMP_NUM_THREADS'][:1])"),
        environments=({"USER": "ann"}, {"USER": "bob"}),
        is_same=True,
    ),
    *pair(
        "gradients that are switched off in the session",
        net("self.features(x)", "torch.set_grad_enabled(True)"),
        ("enabled(True)", "enabled(False)"),
        kinds=(CELL,),
        is_same=True,
    ),
    *pair(
        "other keys of a dict that get reads",
        net("self.features(x) * C.get('k') * C.get('none', 2.0)", "C = {'k': 2.0, 'other': 1}"),
        ("'other': 1", "'other': 2"),
        kinds=(CELL, SCRIPT),
        is_same=True,
    ),
    *pair(
        "other keys of a dict that a global names",
        net("self.features(x) * C[NAME]", "C, NAME = {'k': 2.0, 'other': 1}, 'k'"),
        ("'other': 1", "'other': 2"),
        kinds=(CELL, SCRIPT),
        is_same=True,
    ),
    *pair(
        "a log and a file that it writes itself",
        net("self.features(x)")
        + """\
# %%
def make(num_classes):
    with open('net.log', 'a') as log:
        log.write('built')
    Path('net.tmp').write_text(str(os.getpid()))
    Path('net.tmp').read_text()
    return Net(num_classes)
""",
        is_same=True,
    ),
]
