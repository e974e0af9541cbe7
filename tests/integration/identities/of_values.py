"""Nets that hold, read or are given other values."""

from __future__ import annotations

from tests.integration.identities.pairs import CELL, FILE, SCRIPT, net, pair

OF_VALUES = [
    *pair(
        "a global number", net("self.features(x) * K", "K = 2.0"), ("K = 2.0", "K = 3.0"), kinds=(FILE, SCRIPT, CELL)
    ),
    *pair("a global dict", net("self.features(x) * CFG['k']", "CFG = {'k': 2.0}"), ("2.0", "3.0")),
    *pair("a global dict, used whole", net("self.features(x) * sum(CFG.values())", "CFG = {'k': 2.0}"), ("2.0", "3.0")),
    *pair("a global tensor", net("self.features(x) * T", "T = torch.full((1,), 2.0)"), ("2.0", "3.0")),
    *pair(
        "a large array",
        net("self.features(x) * float(A.sum())", "A = np.zeros(100_000)\nA[50_000] = 2.0"),
        ("= 2.0", "= 3.0"),
    ),
    *pair(
        "a global that is set later",
        net("self.features(x) * K", "K = 2.0")
        + """\
# %%
K = 2.0
""",
        (
            """\
%%
K = 2.0
""",
            """\
%%
K = 5.0
""",
        ),
    ),
    *pair(
        "an enumeration",
        net(
            "self.features(x) * Mode.A.value",
            """\
import enum
class Mode(enum.Enum):
    A = 2.0
    B = 3.0""",
        ),
        ("A = 2.0", "A = 4.0"),
    ),
    *pair(
        "a dataclass",
        net(
            "self.features(x) * C.k",
            """\
import dataclasses
@dataclasses.dataclass
class Config:
    k: float = 2.0
C = Config()""",
        ),
        ("= 2.0", "= 3.0"),
    ),
    *pair(
        "values of slots",
        net(
            "self.features(x) * use(C)",
            """\
class Config:
    __slots__ = ('k',)
C = Config()
C.k = 2.0
def use(c):
    return c.k""",
        ),
        ("C.k = 2.0", "C.k = 3.0"),
    ),
    *pair(
        "arguments of a command line",
        net("self.features(x) * A.k", "import argparse\nA = argparse.Namespace(k=2.0, trials=1)"),
        ("k=2.0", "k=3.0"),
    ),
    *pair(
        "a number from JSON",
        net("self.features(x) * K", "K = json.loads(Path('k.json').read_text())['k']"),
        ('"k": 2.0', '"k": 3.0'),
        files={"k.json": '{"k": 2.0}'},
        kinds=(FILE, SCRIPT, CELL),
    ),
    *pair(
        "a number from JSON, read in forward",
        net("self.features(x) * json.loads(Path('k.json').read_text())['k']"),
        ('"k": 2.0', '"k": 3.0'),
        files={"k.json": '{"k": 2.0}'},
    ),
    *pair(
        "an environment variable",
        net("self.features(x) * K", "K = float(os.environ['NET_K'])"),
        environments=({"NET_K": "2"}, {"NET_K": "3"}),
        kinds=(FILE, SCRIPT, CELL),
    ),
    *pair(
        "an environment variable, read in forward",
        net("self.features(x) * float(os.environ['NET_K'])"),
        environments=({"NET_K": "2"}, {"NET_K": "3"}),
    ),
    *pair(
        "a branch by an environment variable",
        net("F.relu(y) if os.getenv('NET_' + 'ACT') else F.gelu(y)").replace(
            "return F", "y = self.features(x)\n        return F"
        ),
        environments=({}, {"NET_ACT": "1"}),
    ),
    *pair(
        "an environment variable that chooses the start",
        net("self.features(x)")
        + """
# %%
def make(num_classes):
    made = Net(num_classes)
    nn.init.constant_(made.head.bias, 1.0)
    nn.init.uniform_(made.head.weight, -float(os.environ["NET_" + "W"]), 1.0)
    return made
""",
        environments=({"NET_W": "1"}, {"NET_W": "2"}),
    ),
    *pair(
        "a buffer",
        net("self.features(x) * self.k")
        + """
# %%
def make(num_classes):
    made = Net(num_classes)
    made.register_buffer("k", torch.tensor(K))
    return made
K = float(Path("k.txt").read_text())
""",
        ("2.0", "3.0"),
        files={"k.txt": "2.0"},
    ),
    *pair(
        "part of a list that follows from the seed",
        net("self.features(x) * self.ks[1]")
        + """
# %%
def make(num_classes):
    made = Net(num_classes)
    made.ks = [torch.rand(1), float(Path("k.txt").read_text())]
    return made
""",
        ("2.0", "3.0"),
        files={"k.txt": "2.0"},
    ),
    *pair(
        "a frozen weight",
        net("self.features(x)")
        + """
# %%
def make(num_classes):
    made = Net(num_classes)
    made.head.bias.requires_grad_(json.loads(Path("k.json").read_text()))
    return made
""",
        ("false", "true"),
        files={"k.json": "false"},
    ),
    *pair(
        "the key that get reads",
        net("self.features(x) * C.get('k', 1.0).real", "C = {'k': 2.0}"),
        ("'k': 2.0", "'k': 3.0"),
        kinds=(CELL, SCRIPT),
    ),
    *pair(
        "a key that get does not find",
        net("self.features(x) if C.get('k') is None else self.features(x).clone()", "C = {'other': 0}"),
        ("'other'", "'k'"),
        kinds=(CELL,),
    ),
    *pair(
        "a default of get that is put together",
        net("self.features(x) * C.get('k', C['a'] * 1.5)", "C = {'a': 2.0}"),
        ("'a': 2.0", "'a': 3.0"),
        kinds=(CELL,),
    ),
    *pair(
        "the key that a global names",
        net("self.features(x) * C[NAME]", "C, NAME = {'k': 2.0, 'l': 3.0}, 'k'"),
        ("'k'\n", "'l'\n"),
        kinds=(CELL, SCRIPT),
    ),
    *pair(
        "the value that a global names",
        net("self.features(x) * C[NAME]", "C, NAME = {'k': 2.0, 'l': 3.0}, 'k'"),
        ("2.0", "2.5"),
        kinds=(CELL, SCRIPT),
    ),
    *pair(
        "two lambdas on one line",
        net("TWO[1](self.features(x))", "TWO = (lambda x: x + 1), (lambda x: x * 2.0)"),
        ("2.0", "3.0"),
    ),
    *pair(
        "a mask from a file over random weights",
        net("self.features(x)")
        + """\
# %%
torch.save(torch.full((1, 192), 2.0), 'mask.pt')
def make(num_classes):
    made = Net(num_classes)
    made.head.weight.data.mul_(torch.load('mask.pt'))
    return made
""",
        ("2.0), 'mask.pt'", "3.0), 'mask.pt'"),
        kinds=(CELL,),
    ),
    *pair(
        "noise over weights of a list",
        net("self.features(x)")
        + """\
# %%
FIRST = json.loads(Path('first.json').read_text())
def make(num_classes):
    made = Net(num_classes)
    made.head.weight.data[:1, :2] += torch.tensor(FIRST)
    return made
""",
        ("[1.0, 2.0]", "[1.0, 3.0]"),
        files={"first.json": "[1.0, 2.0]"},
    ),
    *pair(
        "a gain of NumPy's from a file over random weights of NumPy's",
        net("self.features(x)")
        + """\
# %%
np.save('gain.npy', np.float32(2.0))
def make(num_classes):
    made = Net(num_classes)
    drawn = np.random.rand(*made.head.weight.shape).astype(np.float32) * np.load('gain.npy')
    made.head.weight.data = torch.from_numpy(drawn)
    return made
""",
        ("np.float32(2.0)", "np.float32(3.0)"),
        kinds=(CELL,),
    ),
]
