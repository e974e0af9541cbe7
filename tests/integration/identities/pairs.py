"""Pairs of nets: whether they are the same net, each as one entry.

To add a pair, append an entry to `PAIRS`: a text that defines `make(num_classes)`, what is put in place of what in the
other net of the pair, and whether that leaves the same net. Every net is built in two processes with two values of
`PYTHONHASHSEED`, in two folders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

FILE, SCRIPT, CELL = "file", "script", "cell"
"""Where the text of a net is: in a module, in a script that is `__main__`, in cells of IPython (parted by `# %%`)."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One net of a pair."""

    kind: str
    text: str
    files: Mapping[str, str] = field(default_factory=dict)
    """Texts beside it, by name."""
    environment: Mapping[str, str] = field(default_factory=dict)
    build: str = "make"

    def as_json(self) -> dict[str, Any]:
        """Return the net as a process can be told of it."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two nets, and whether they are the same."""

    name: str
    one: Side
    other: Side
    is_same: bool


def pair(
    name: str,
    text: str,
    *changes: tuple[str, str],
    kinds: tuple[str, ...] = (FILE, CELL),
    files: Mapping[str, str] | None = None,
    environments: tuple[Mapping[str, str], Mapping[str, str]] = ({}, {}),
    build: str = "make",
    is_same: bool = False,
) -> list[Pair]:
    """Return a pair for each kind; `changes`: what is replaced by what, in the text and in the files beside it."""
    found = []
    for kind in kinds:
        one = Side(kind=kind, text=HEAD + text, files=files or {}, environment=environments[0], build=build)
        texts = {"": one.text, **one.files}
        for old, new in changes:
            assert any(old in content for content in texts.values()), (name, old)
            texts = {key: content.replace(old, new) for key, content in texts.items()}
        other = replace(one, text=texts.pop(""), files=texts, environment=environments[1])
        found.append(Pair(name=f"{name} ({kind})", one=one, other=other, is_same=is_same))
    return found


HEAD = """
import functools, importlib, json, math, os, sys, types
from pathlib import Path
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

class Base(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.head = nn.Linear(192, num_classes)
    def features(self, x):
        return self.head(x.flatten(1))
"""
NET = """
# %%
class Net(Base):
    def forward(self, x):
        return {}
# %%
def make(num_classes):
    return Net(num_classes)
"""


def net(result: str, before: str = "") -> str:
    """Return the text of a net whose forward gives `result`, after what comes before its class."""
    return f"# %%\n{before}\n{NET.format(result)}"


OF_CODE = [
    *pair("forward", net("self.features(x)"), ("return self.features(x)", "return self.features(x) * 0 + 1")),
    *pair("a number in forward", net("self.features(x) * 2.0"), ("* 2.0", "* 3.0"), kinds=(FILE, SCRIPT, CELL)),
    *pair("1 and True", net("self.features(x) * A", "A = 1"), ("A = 1", "A = True")),
    *pair("1 and 1.0", net("self.features(x) + (1 if x is None else 1)"), ("else 1)", "else 1.0)")),
    *pair("zero and minus zero", net("torch.atan2(self.features(x), torch.tensor(A))", "A = 0.0"), ("0.0", "-0.0")),
    *pair("an ellipsis", net("self.features(x[I])", "I = ..."), ("I = ...", "I = slice(None, None, 1)")),
    *pair("a slice", net("self.features(x.flip(3)[:, :, :, I])", "I = slice(0, 8)"), ("slice(0, 8)", "slice(None, 8)")),
    *pair("a helper", net("half(self.features(x))", "def half(x):\n    return x / 2"), ("x / 2", "x / 3")),
    *pair(
        "a helper of a helper",
        net("half(self.features(x))", "def part(x):\n    return x / 2\ndef half(x):\n    return part(x)"),
        ("x / 2", "x / 3"),
    ),
    *pair(
        "a helper that calls itself",
        net("half(self.features(x), 2)", "def half(x, n):\n    return x if n == 0 else half(x / 2, n - 1)"),
        ("x / 2", "x / 3"),
    ),
    *pair("a lambda", net("act(self.features(x))", "act = lambda x: x * 2"), ("x * 2", "x * 3")),
    *pair(
        "two lambdas on a line", net("A(self.features(x))", "A, B = lambda x: x * 2, lambda x: x * 3"), ("A(s", "B(s")
    ),
    *pair(
        "a lambda as build function",
        net("self.features(x) * self.k") + "# %%\ndef made(n, k):\n    m = Net(n)\n    m.k = k\n    return m\n"
        "built = lambda num_classes: made(num_classes, 2)\n",
        ("num_classes, 2)", "num_classes, 3)"),
        build="built",
    ),
    *pair(
        "a closure",
        net("ACT(self.features(x))", "def scaled(k):\n    return lambda x: x * k\nACT = scaled(2)"),
        ("scaled(2)", "scaled(3)"),
    ),
    *pair(
        "a nested function",
        net("outer(self.features(x))", "def outer(x):\n    def inner(y):\n        return y * 2\n    return inner(x)"),
        ("y * 2", "y * 3"),
    ),
    *pair("a default", net("f(self.features(x))", "K = 2\ndef f(x, k=K):\n    return x * k"), ("K = 2", "K = 3")),
    *pair(
        "a default that is an object",
        net(
            "f(self.features(x))",
            "class C:\n    def __init__(self, k): self.k = k\nDEFAULT = C(2)\ndef f(x, *, c=DEFAULT):\n    return x * c.k",
        ),
        ("C(2)", "C(3)"),
    ),
    *pair(
        "a class attribute",
        "# %%\nclass Net(Base):\n    k = 2.0\n    def forward(self, x):\n        return self.features(x) * self.k\n"
        "def make(num_classes):\n    return Net(num_classes)\n",
        ("k = 2.0", "k = 3.0"),
    ),
    *pair(
        "a list of a class, changed later",
        "# %%\nclass Net(Base):\n    ks = [1.0]\n    def forward(self, x):\n        return self.features(x) * sum(self.ks)\n"
        "# %%\nNet.ks.append(2.0)\ndef make(num_classes):\n    return Net(num_classes)\n",
        ("append(2.0)", "append(3.0)"),
    ),
    *pair(
        "a property",
        "# %%\nclass Net(Base):\n    @property\n    def k(self): return 2.0\n    def forward(self, x):\n"
        "        return self.features(x) * self.k\ndef make(num_classes):\n    return Net(num_classes)\n",
        ("return 2.0", "return 3.0"),
    ),
    *pair(
        "a cached property",
        "# %%\nclass Net(Base):\n    @functools.cached_property\n    def k(self): return 2.0\n    def forward(self, x):\n"
        "        return self.features(x) * self.k\ndef make(num_classes):\n    return Net(num_classes)\n",
        ("return 2.0", "return 3.0"),
    ),
    *pair(
        "a base class",
        "# %%\nclass Middle(Base):\n    def act(self, x): return x * 2\nclass Net(Middle):\n    def forward(self, x):\n"
        "        return self.act(self.features(x))\ndef make(num_classes):\n    return Net(num_classes)\n",
        ("x * 2", "x * 3"),
    ),
    *pair(
        "a mixin that comes first or second",
        "# %%\nclass A:\n    def act(self, x): return x * 2\nclass B:\n    def act(self, x): return x * 3\n"
        "class Net(A, B, Base):\n    def forward(self, x):\n        return self.act(self.features(x))\n"
        "def make(num_classes):\n    return Net(num_classes)\n",
        ("Net(A, B, Base)", "Net(B, A, Base)"),
    ),
    *pair(
        "a static and a class method",
        "# %%\nclass Net(Base):\n    @staticmethod\n    def act(x): return x * 2\n    @classmethod\n    def build(cls, n): "
        "return cls(n)\n    def forward(self, x):\n        return self.act(self.features(x))\n"
        "def make(num_classes):\n    return Net.build(num_classes)\n",
        ("x * 2", "x * 3"),
    ),
    *pair(
        "a class made by type",
        "# %%\ndef run(self, x):\n    return self.features(x) * 2\nNet = type('Net', (Base,), {'forward': run})\n"
        "def make(num_classes):\n    return Net(num_classes)\n",
        ("* 2", "* 3"),
    ),
    *pair(
        "a metaclass",
        "# %%\nclass Meta(type):\n    def __call__(cls, *args):\n        made = super().__call__(*args)\n"
        "        made.k = 2.0\n        return made\nclass Net(Base, metaclass=Meta):\n    def forward(self, x):\n"
        "        return self.features(x) * self.k\ndef make(num_classes):\n    return Net(num_classes)\n",
        ("made.k = 2.0", "made.k = 3.0"),
    ),
    *pair(
        "a class with __getattr__",
        net(
            "self.features(x) * CONFIG.k",
            "class C:\n    def __getattr__(self, name):\n        return 2.0\nCONFIG = C()",
        ),
        ("return 2.0", "return 3.0"),
    ),
    *pair(
        "a class that is called",
        net("ACT(self.features(x))", "class Act:\n    def __call__(self, x): return x * 2\nACT = Act()"),
        ("x * 2", "x * 3"),
    ),
    *pair(
        "a wrapped function",
        net(
            "act(self.features(x))",
            "def times(k):\n    def wrap(f):\n        @functools.wraps(f)\n        def inner(x): return f(x) * k\n"
            "        return inner\n    return wrap\n@times(2)\ndef act(x):\n    return x.relu()",
        ),
        ("@times(2)", "@times(3)"),
    ),
    *pair(
        "a function in a wrapper of torch",
        net("act(self.features(x))", "@torch.enable_grad()\ndef act(x):\n    return x * 2"),
        ("x * 2", "x * 3"),
    ),
    *pair(
        "a cached function",
        net("self.features(x) * scale(1)", "@functools.lru_cache\ndef scale(k):\n    return k * 2.0"),
        ("k * 2.0", "k * 3.0"),
    ),
    *pair(
        "a function chosen by type",
        net(
            "act(self.features(x))",
            "@functools.singledispatch\ndef act(x): return x\n@act.register\ndef _(x: torch.Tensor): return x * 2",
        ),
        ("x * 2", "x * 3"),
    ),
    *pair(
        "an autograd function",
        net(
            "Own.apply(self.features(x))",
            "class Own(torch.autograd.Function):\n    @staticmethod\n    def forward(ctx, x): return x * 1\n"
            "    @staticmethod\n    def backward(ctx, g): return g * 2",
        ),
        ("g * 2", "g * 3"),
    ),
    *pair(
        "text that is executed",
        "# %%\nexec('def act(x): return x * 2')\n" + net("act(self.features(x))"),
        ("x * 2", "x * 3"),
    ),
    *pair(
        "a name found by a text",
        net("globals()['K'] * self.features(x)", "K = 2.0"),
        ("K = 2.0", "K = 3.0"),
    ),
    *pair(
        "initial weights",
        net("self.features(x)")
        + """
# %%
def make(num_classes):
    made = Net(num_classes)
    nn.init.normal_(made.head.weight, std=0.02)
    return made
""",
        ("std=0.02", "std=0.03"),
    ),
    *pair(
        "a scripted net",
        net("self.features(x)")
        + """
# %%
class Scripted(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.head = nn.Linear(192, num_classes)
        self.k = K
    def forward(self, x):
        return self.head(x.flatten(1)) * self.k
K = 2.0
def make(num_classes):
    return torch.jit.script(Scripted(num_classes))
""",
        ("K = 2.0", "K = 3.0"),
    ),
]

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
        net("self.features(x) * K", "K = 2.0") + "# %%\nK = 2.0\n",
        ("%%\nK = 2.0\n", "%%\nK = 5.0\n"),
    ),
    *pair(
        "an enumeration",
        net("self.features(x) * Mode.A.value", "import enum\nclass Mode(enum.Enum):\n    A = 2.0\n    B = 3.0"),
        ("A = 2.0", "A = 4.0"),
    ),
    *pair(
        "a dataclass",
        net(
            "self.features(x) * C.k",
            "import dataclasses\n@dataclasses.dataclass\nclass Config:\n    k: float = 2.0\nC = Config()",
        ),
        ("= 2.0", "= 3.0"),
    ),
    *pair(
        "values of slots",
        net(
            "self.features(x) * use(C)",
            "class Config:\n    __slots__ = ('k',)\nC = Config()\nC.k = 2.0\ndef use(c):\n    return c.k",
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
]

PARTIAL = (
    net("self.act(self.features(x) * self.k)")
    + """
# %%
def built(num_classes, k=1.0, act=F.relu):
    made = Net(num_classes)
    made.k = 1.0
    made.act = lambda x: act(x) * k
    return made
make = functools.partial(built, k=2.0, act=F.relu)
"""
)
HOOKED = (
    net("self.features(x)")
    + """
# %%
def make(num_classes):
    made = Net(num_classes)
    k = K
    made.head.{hook}
    return made
K = float(Path("k.txt").read_text())
"""
)
K_FILES = {"k.txt": "2.0"}
OF_OBJECTS = [
    *pair("a number of a partial", PARTIAL, ("k=2.0", "k=3.0"), kinds=(FILE, SCRIPT, CELL)),
    *pair("a function of a partial", PARTIAL, ("act=F.relu)\n", "act=F.gelu)\n")),
    *pair(
        "a partial by position",
        PARTIAL + "def by(k, num_classes):\n    return built(num_classes, k)\nmake = functools.partial(by, 2.0)\n",
        ("(by, 2.0)", "(by, 3.0)"),
    ),
    *pair(
        "a partial of a class",
        "# %%\nclass Net(Base):\n    def __init__(self, num_classes, k):\n        super().__init__(num_classes)\n        self.k = k\n    def forward(self, x):\n        return self.features(x) * self.k\nmake = functools.partial(Net, k=2.0)\n",
        ("k=2.0", "k=3.0"),
    ),
    *pair(
        "an object as build function",
        net("self.features(x) * self.k")
        + "# %%\nclass Maker:\n    def __init__(self, k): self.k = k\n    def __call__(self, num_classes):\n        made = Net(num_classes)\n        made.k = self.k\n        return made\nmake = Maker(2.0)\n",
        ("Maker(2.0)", "Maker(3.0)"),
    ),
    *pair(
        "a method as build function",
        net("self.features(x) * self.k")
        + "# %%\nclass Maker:\n    def __init__(self, k): self.k = k\n    def build(self, num_classes):\n        made = Net(num_classes)\n        made.k = self.k\n        return made\nmake = Maker(2.0).build\n",
        ("Maker(2.0)", "Maker(3.0)"),
    ),
    *pair(
        "a forward hook",
        HOOKED.format(hook="register_forward_hook(lambda m, i, o: o * k)"),
        ("2.0", "3.0"),
        files=K_FILES,
    ),
    *pair(
        "a hook before forward",
        HOOKED.format(hook="register_forward_pre_hook(lambda m, i: (i[0] * k,))"),
        ("2.0", "3.0"),
        files=K_FILES,
    ),
    *pair(
        "a backward hook",
        HOOKED.format(hook="register_full_backward_hook(lambda m, i, o: (i[0] * k if i[0] is not None else None,))"),
        ("2.0", "3.0"),
        files=K_FILES,
    ),
    *pair(
        "a hook on a weight", HOOKED.format(hook="weight.register_hook(lambda g: g * k)"), ("2.0", "3.0"), files=K_FILES
    ),
    *pair(
        "a hook of all layers",
        net(
            "self.features(x)",
            "K = float(Path('k.txt').read_text())\nHANDLE = nn.modules.module.register_module_forward_hook(lambda m, i, o: o * K)",
        ),
        ("2.0", "3.0"),
        files=K_FILES,
    ),
    *pair(
        "a replaced forward",
        HOOKED.format(hook="forward = types.MethodType(lambda self, x: F.linear(x, self.weight) * k, made.head)"),
        ("2.0", "3.0"),
        files=K_FILES,
    ),
    *pair(
        "a forward of the net, replaced",
        net("self.features(x)")
        + "# %%\ndef make(num_classes):\n    made = Net(num_classes)\n    made.forward = lambda x: made.features(x) * K\n    return made\nK = 2.0\n",
        ("K = 2.0", "K = 3.0"),
    ),
    *pair(
        "a parametrisation",
        net("self.features(x)")
        + "# %%\nclass Scaled(nn.Module):\n    def forward(self, w): return w * 2\ndef make(num_classes):\n    made = Net(num_classes)\n    nn.utils.parametrize.register_parametrization(made.head, 'weight', Scaled())\n    return made\n",
        ("w * 2", "w * 3"),
    ),
    *pair(
        "a patched layer of torch",
        net(
            "self.features(x)",
            "def forward(self, x):\n    return F.linear(x, self.weight) * 2\nif not hasattr(nn, 'kept'):\n    nn.kept = nn.Linear.forward\nnn.Linear.forward = forward",
        ),
        ("* 2\n", "* 3\n"),
    ),
    *pair(
        "a patched function of torch",
        net(
            "self.act(self.features(x))",
            "KEPT = nn.functional.relu\ndef patched(x, inplace=False):\n    return KEPT(x) * 2\nnn.functional.relu = patched",
        ).replace("class Net(Base):", "class Net(Base):\n    act = staticmethod(nn.ReLU())"),
        ("* 2\n", "* 3\n"),
    ),
    *pair(
        "functions that were swapped in a list",
        net("self.features(x).relu()")
        + "# %%\nACTS = [lambda x: x * 2, lambda x: x + 1]\nclass Net(Base):\n    def forward(self, x):\n        y = self.features(x)\n        for act in ACTS:\n            y = act(y)\n        return y\n",
        ("[lambda x: x * 2, lambda x: x + 1]", "[lambda x: x + 1, lambda x: x * 2]"),
    ),
    *pair(
        "an order in a dict",
        net("self.run(self.features(x))")
        + "# %%\nACTS = {'a': torch.relu, 'b': torch.neg}\nclass Net(Base):\n    def forward(self, x):\n        y = self.features(x)\n        for act in ACTS.values():\n            y = act(y)\n        return y\n",
        ("{'a': torch.relu, 'b': torch.neg}", "{'b': torch.neg, 'a': torch.relu}"),
    ),
]

HELPER = {
    "net_helper.py": "import torch\nK = 2.0\nUNUSED = 1\ndef act(x):\n    return x * K\nclass Act:\n    def __call__(self, x):\n        return x * K\n"
}
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
            "SPEC = importlib.util.spec_from_file_location('net_by_place', Path('net_helper.py').resolve())\nH = importlib.util.module_from_spec(SPEC)\nSPEC.loader.exec_module(H)",
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
            "import net_helper\nif EDIT:\n    Path('net_helper.py').write_text(Path('net_helper.py').read_text().replace('K = 2.0', 'K = 30.0'))\n    importlib.reload(net_helper)",
        ).replace("# %%\nimport", "# %%\nEDIT = False\nimport", 1),
        ("EDIT = False", "EDIT = True"),
        files=HELPER,
        kinds=(CELL, SCRIPT),
    ),
    *pair(
        "a decorator from a file",
        "# %%\nfrom net_helper import decorated\n@decorated\nclass Net(Base):\n    def forward(self, x):\n        return self.features(x)\ndef make(num_classes):\n    return Net(num_classes)\n",
        ("* 2", "* 3"),
        files={
            "net_helper.py": "def decorated(kind):\n    was = kind.forward\n    kind.forward = lambda self, x: was(self, x) * 2\n    return kind\n"
        },
    ),
    *pair(
        "a module of a package",
        net("act(self.features(x))", "from net_package.parts.acts import act"),
        ("x * 2", "x * 3"),
        files={
            "net_package/__init__.py": "",
            "net_package/parts/__init__.py": "",
            "net_package/parts/acts.py": "from ..base import double\ndef act(x):\n    return double(x)\n",
            "net_package/base.py": "def double(x):\n    return x * 2\n",
        },
    ),
]

STUDY = "\n# %%\nimport argparse\nTRIALS = 1\nargs = argparse.Namespace(width=1.0, trials=1)\ndef report():\n    print(TRIALS)\n"
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
            "    def extra_repr(self):\n        return str(set('abcdefgh'))\n    def __repr__(self):\n        return str(set('abcdefgh'))\n    def forward",
        ),
        kinds=(FILE, CELL),
        is_same=True,
    ),
    *pair(
        "a dict filled from a set",
        net("self.features(x)")
        + "# %%\nclass Net(Base):\n    def __init__(self, n):\n        super().__init__(n)\n        self.ids = {key: len(key) for key in set('abcdefgh')}\n        self.names = set('abcdefgh')\n    def forward(self, x):\n        return self.features(x) * len(NAMES)\nNAMES = set('abcdefgh')\n",
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
        + "# %%\nclass Net(Base):\n    def __init__(self, n):\n        super().__init__(n)\n        self.here = Path.cwd()\n        self.text = str(Path.cwd() / 'weights.pt')\n    def forward(self, x):\n        return self.features(x)\n",
        kinds=(FILE, SCRIPT, CELL),
        is_same=True,
    ),
    *pair(
        "locks, files and loggers",
        net(
            "use(self.features(x), LOCK, LOG, OUT)",
            "import threading, logging\nLOCK, LOG = threading.RLock(), logging.getLogger('net')\nOUT = open(os.devnull)\ndef use(x, *more):\n    return x",
        ),
        is_same=True,
    ),
    *pair(
        "objects that know each other",
        net(
            "self.features(x) * len(A.all)",
            "class C:\n    def __init__(self): self.all = []\nA, B = C(), C()\nA.all = B.all = [A, B]",
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
        + "# %%\ndef make(num_classes):\n    COUNT[0] += 1\n    return Net(num_classes)\n",
        is_same=True,
    ),
    *pair(
        "what is computed once",
        net(
            "self.features(x) * table(x.shape[-1])",
            "KNOWN = {}\ndef table(size):\n    if size not in KNOWN:\n        KNOWN[size] = torch.full((1,), 2.0)\n    return KNOWN[size]",
        ),
        is_same=True,
    ),
    *pair(
        "an environment variable of others",
        net("self.features(x) * float(os.environ.get('NET_K', '2'))"),
        environments=({}, {"OTHERS": "3"}),
        is_same=True,
    ),
]

PAIRS = [*OF_CODE, *OF_VALUES, *OF_OBJECTS, *OF_MODULES, *SAME]
