"""Nets that differ in partials, hooks, and what was put into objects."""

from __future__ import annotations

from tests.integration.identities.pairs import CELL, FILE, SCRIPT, net, pair

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
        PARTIAL
        + """\
def by(k, num_classes):
    return built(num_classes, k)
make = functools.partial(by, 2.0)
""",
        ("(by, 2.0)", "(by, 3.0)"),
    ),
    *pair(
        "a partial of a class",
        """\
# %%
class Net(Base):
    def __init__(self, num_classes, k):
        super().__init__(num_classes)
        self.k = k
    def forward(self, x):
        return self.features(x) * self.k
make = functools.partial(Net, k=2.0)
""",
        ("k=2.0", "k=3.0"),
    ),
    *pair(
        "an object as build function",
        net("self.features(x) * self.k")
        + """\
# %%
class Maker:
    def __init__(self, k): self.k = k
    def __call__(self, num_classes):
        made = Net(num_classes)
        made.k = self.k
        return made
make = Maker(2.0)
""",
        ("Maker(2.0)", "Maker(3.0)"),
    ),
    *pair(
        "a method as build function",
        net("self.features(x) * self.k")
        + """\
# %%
class Maker:
    def __init__(self, k): self.k = k
    def build(self, num_classes):
        made = Net(num_classes)
        made.k = self.k
        return made
make = Maker(2.0).build
""",
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
            "K = float(Path('k.txt').read_text())\n"
            "HANDLE = nn.modules.module.register_module_forward_hook(lambda m, i, o: o * K)",
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
        + """\
# %%
def make(num_classes):
    made = Net(num_classes)
    made.forward = lambda x: made.features(x) * K
    return made
K = 2.0
""",
        ("K = 2.0", "K = 3.0"),
    ),
    *pair(
        "a parametrisation",
        net("self.features(x)")
        + """\
# %%
class Scaled(nn.Module):
    def forward(self, w): return w * 2
def make(num_classes):
    made = Net(num_classes)
    nn.utils.parametrize.register_parametrization(made.head, 'weight', Scaled())
    return made
""",
        ("w * 2", "w * 3"),
    ),
    *pair(
        "a patched layer of torch",
        net(
            "self.features(x)",
            """\
def forward(self, x):
    return F.linear(x, self.weight) * 2
if not hasattr(nn, 'kept'):
    nn.kept = nn.Linear.forward
nn.Linear.forward = forward""",
        ),
        ("* 2\n", "* 3\n"),
    ),
    *pair(
        "a patched function of torch",
        net(
            "self.act(self.features(x))",
            """\
KEPT = nn.functional.relu
def patched(x, inplace=False):
    return KEPT(x) * 2
nn.functional.relu = patched""",
        ).replace("class Net(Base):", "class Net(Base):\n    act = staticmethod(nn.ReLU())"),
        ("* 2\n", "* 3\n"),
    ),
    *pair(
        "functions that were swapped in a list",
        net("self.features(x).relu()")
        + """\
# %%
ACTS = [lambda x: x * 2, lambda x: x + 1]
class Net(Base):
    def forward(self, x):
        y = self.features(x)
        for act in ACTS:
            y = act(y)
        return y
""",
        ("[lambda x: x * 2, lambda x: x + 1]", "[lambda x: x + 1, lambda x: x * 2]"),
    ),
    *pair(
        "an order in a dict",
        net("self.run(self.features(x))")
        + """\
# %%
ACTS = {'a': torch.relu, 'b': torch.neg}
class Net(Base):
    def forward(self, x):
        y = self.features(x)
        for act in ACTS.values():
            y = act(y)
        return y
""",
        ("{'a': torch.relu, 'b': torch.neg}", "{'b': torch.neg, 'a': torch.relu}"),
    ),
    *pair(
        "an entry of a dict with attributes",
        net(
            "self.features(x) * cfg.k",
            """\
class Config(dict):
    __getattr__ = dict.__getitem__
cfg = Config(k=2.0)""",
        ),
        ("k=2.0", "k=3.0"),
    ),
    *pair(
        "an object that refuses unknown attributes in its own way",
        net(
            "self.features(x) * own['k']",
            """\
class Own:
    __slots__ = ('k',)
    def __init__(self, k): self.k = k
    def __getattr__(self, name): raise RuntimeError(name)
    def __getitem__(self, name): return object.__getattribute__(self, name)
own = Own(2.0)""",
        ),
        ("Own(2.0)", "Own(3.0)"),
    ),
]
