"""Nets whose code differs."""

from __future__ import annotations

from tests.integration.identities.pairs import CELL, FILE, SCRIPT, net, pair

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
        net(
            "half(self.features(x))",
            """\
def part(x):
    return x / 2
def half(x):
    return part(x)""",
        ),
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
        net("self.features(x) * self.k")
        + """\
# %%
def made(n, k):
    m = Net(n)
    m.k = k
    return m
built = lambda num_classes: made(num_classes, 2)
""",
        ("num_classes, 2)", "num_classes, 3)"),
        build="built",
    ),
    *pair(
        "a closure",
        net(
            "ACT(self.features(x))",
            """\
def scaled(k):
    return lambda x: x * k
ACT = scaled(2)""",
        ),
        ("scaled(2)", "scaled(3)"),
    ),
    *pair(
        "a nested function",
        net(
            "outer(self.features(x))",
            """\
def outer(x):
    def inner(y):
        return y * 2
    return inner(x)""",
        ),
        ("y * 2", "y * 3"),
    ),
    *pair(
        "a default",
        net(
            "f(self.features(x))",
            """\
K = 2
def f(x, k=K):
    return x * k""",
        ),
        ("K = 2", "K = 3"),
    ),
    *pair(
        "a default that is an object",
        net(
            "f(self.features(x))",
            """\
class C:
    def __init__(self, k): self.k = k
DEFAULT = C(2)
def f(x, *, c=DEFAULT):
    return x * c.k""",
        ),
        ("C(2)", "C(3)"),
    ),
    *pair(
        "a class attribute",
        """\
# %%
class Net(Base):
    k = 2.0
    def forward(self, x):
        return self.features(x) * self.k
def make(num_classes):
    return Net(num_classes)
""",
        ("k = 2.0", "k = 3.0"),
    ),
    *pair(
        "a list of a class, changed later",
        """\
# %%
class Net(Base):
    ks = [1.0]
    def forward(self, x):
        return self.features(x) * sum(self.ks)
# %%
Net.ks.append(2.0)
def make(num_classes):
    return Net(num_classes)
""",
        ("append(2.0)", "append(3.0)"),
    ),
    *pair(
        "a property",
        """\
# %%
class Net(Base):
    @property
    def k(self): return 2.0
    def forward(self, x):
        return self.features(x) * self.k
def make(num_classes):
    return Net(num_classes)
""",
        ("return 2.0", "return 3.0"),
    ),
    *pair(
        "a cached property",
        """\
# %%
class Net(Base):
    @functools.cached_property
    def k(self): return 2.0
    def forward(self, x):
        return self.features(x) * self.k
def make(num_classes):
    return Net(num_classes)
""",
        ("return 2.0", "return 3.0"),
    ),
    *pair(
        "a base class",
        """\
# %%
class Middle(Base):
    def act(self, x): return x * 2
class Net(Middle):
    def forward(self, x):
        return self.act(self.features(x))
def make(num_classes):
    return Net(num_classes)
""",
        ("x * 2", "x * 3"),
    ),
    *pair(
        "a mixin that comes first or second",
        """\
# %%
class A:
    def act(self, x): return x * 2
class B:
    def act(self, x): return x * 3
class Net(A, B, Base):
    def forward(self, x):
        return self.act(self.features(x))
def make(num_classes):
    return Net(num_classes)
""",
        ("Net(A, B, Base)", "Net(B, A, Base)"),
    ),
    *pair(
        "a static and a class method",
        """\
# %%
class Net(Base):
    @staticmethod
    def act(x): return x * 2
    @classmethod
    def build(cls, n): return cls(n)
    def forward(self, x):
        return self.act(self.features(x))
def make(num_classes):
    return Net.build(num_classes)
""",
        ("x * 2", "x * 3"),
    ),
    *pair(
        "a class made by type",
        """\
# %%
def run(self, x):
    return self.features(x) * 2
Net = type('Net', (Base,), {'forward': run})
def make(num_classes):
    return Net(num_classes)
""",
        ("* 2", "* 3"),
    ),
    *pair(
        "a metaclass",
        """\
# %%
class Meta(type):
    def __call__(cls, *args):
        made = super().__call__(*args)
        made.k = 2.0
        return made
class Net(Base, metaclass=Meta):
    def forward(self, x):
        return self.features(x) * self.k
def make(num_classes):
    return Net(num_classes)
""",
        ("made.k = 2.0", "made.k = 3.0"),
    ),
    *pair(
        "a class with __getattr__",
        net(
            "self.features(x) * CONFIG.k",
            """\
class C:
    def __getattr__(self, name):
        return 2.0
CONFIG = C()""",
        ),
        ("return 2.0", "return 3.0"),
    ),
    *pair(
        "a class that is called",
        net(
            "ACT(self.features(x))",
            """\
class Act:
    def __call__(self, x): return x * 2
ACT = Act()""",
        ),
        ("x * 2", "x * 3"),
    ),
    *pair(
        "a wrapped function",
        net(
            "act(self.features(x))",
            """\
def times(k):
    def wrap(f):
        @functools.wraps(f)
        def inner(x): return f(x) * k
        return inner
    return wrap
@times(2)
def act(x):
    return x.relu()""",
        ),
        ("@times(2)", "@times(3)"),
    ),
    *pair(
        "a function in a wrapper of torch",
        net(
            "act(self.features(x))",
            """\
@torch.enable_grad()
def act(x):
    return x * 2""",
        ),
        ("x * 2", "x * 3"),
    ),
    *pair(
        "a cached function",
        net(
            "self.features(x) * scale(1)",
            """\
@functools.lru_cache
def scale(k):
    return k * 2.0""",
        ),
        ("k * 2.0", "k * 3.0"),
    ),
    *pair(
        "a function chosen by type",
        net(
            "act(self.features(x))",
            """\
@functools.singledispatch
def act(x): return x
@act.register
def _(x: torch.Tensor): return x * 2""",
        ),
        ("x * 2", "x * 3"),
    ),
    *pair(
        "an autograd function",
        net(
            "Own.apply(self.features(x))",
            """\
class Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x * 1
    @staticmethod
    def backward(ctx, g): return g * 2""",
        ),
        ("g * 2", "g * 3"),
    ),
    *pair(
        "text that is executed",
        """\
# %%
exec('def act(x): return x * 2')
"""
        + net("act(self.features(x))"),
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
