"""Nets that do something unusual."""

from __future__ import annotations

from tests.integration.identities.pairs import CELL, SCRIPT, net, pair

UNUSUAL = [
    *pair(
        "run magic",
        """\
# %%
get_ipython().run_line_magic('run','net_run.py')
"""
        + net("half(self.features(x))"),
        ("x / 2", "x / 3"),
        files={
            "net_run.py": """\
def half(x):
    return x / 2
"""
        },
        kinds=(CELL,),
    ),
    *pair(
        "object array",
        net("self.features(x)*len(A)", "A=np.array([object(), 'a'],dtype=object)"),
        is_same=True,
        kinds=(CELL,),
    ),
    *pair(
        "sparse",
        net("self.features(x)*float(T.to_dense().sum())", "T=torch.eye(3).to_sparse()*2.0"),
        ("*2.0", "*3.0"),
        kinds=(CELL,),
    ),
    *pair(
        "setattr by name",
        net("self.features(x)*getattr(self,'k')")
        + """\
# %%
for n,v in (('k',2.0),):
    setattr(Net,n,v)
""",
        ("2.0", "3.0"),
    ),
    *pair(
        "namedtuple",
        net(
            "self.features(x)*C.k",
            """\
import collections
T=collections.namedtuple('T','k')
C=T(2.0)""",
        ),
        ("2.0", "3.0"),
    ),
    *pair(
        "typing NamedTuple",
        net(
            "self.features(x)*C.k",
            """\
import typing
class T(typing.NamedTuple):
    k: float = 2.0
C=T()""",
        ),
        ("2.0", "3.0"),
    ),
    *pair(
        "defaultdict",
        net(
            "self.features(x)*C['k']",
            """\
import collections
C=collections.defaultdict(lambda: 2.0)""",
        ),
        ("2.0", "3.0"),
    ),
    *pair(
        "weight loaded from file",
        net("self.features(x)")
        + """\
# %%
def make(num_classes):
    m=Net(num_classes)
    m.head.load_state_dict({'weight':torch.full((num_classes,192),float(Path('w.txt').read_text())),'bias':torch.zeros(num_classes)})
    return m
""",
        ("0.2", "0.3"),
        files={"w.txt": "0.2"},
    ),
    *pair(
        "stochastic depth",
        net(
            "self.features(x) if not self.training or torch.rand(()) < P else self.features(x)*2",
            "P=float(os.environ['NET_P'])",
        ),
        environments=({"NET_P": "0.5"}, {"NET_P": "0.9"}),
    ),
    *pair("dropout p in forward", net("F.dropout(self.features(x), 0.1, self.training)"), ("0.1", "0.2")),
    *pair(
        "weakref/self reference",
        net("self.features(x)")
        + """\
# %%
class Net(Base):
    def __init__(s,n):
        super().__init__(n)
        s.me=[s]
    def forward(self,x): return self.features(x)
""",
        is_same=True,
    ),
    *pair(
        "teacher global not registered",
        net(
            "self.features(x)+T[0](x.flatten(1))",
            """\
T=[nn.Linear(192,4)]
nn.init.constant_(T[0].weight,0.1);nn.init.zeros_(T[0].bias)""",
        ),
        ("0.1", "0.2"),
    ),
    *pair(
        "functools.reduce of list of lambdas",
        net(
            "functools.reduce(lambda a,f:f(a),FS,self.features(x))",
            "FS=[(lambda k: lambda y: y*k)(k) for k in (2.0,3.0)]",
        ),
        ("(2.0,3.0)", "(2.0,4.0)"),
    ),
    *pair(
        "deep config object",
        net(
            "self.features(x)*cfg.model.scale",
            """\
C=types.SimpleNamespace
cfg=C(model=C(scale=2.0),train=C(trials=1))""",
        ),
        ("scale=2.0", "scale=3.0"),
    ),
    *pair(
        "deep config object, study part",
        net(
            "self.features(x)*cfg.model.scale",
            """\
C=types.SimpleNamespace
cfg=C(model=C(scale=2.0),train=C(trials=1))""",
        ),
        ("trials=1", "trials=3"),
        kinds=(CELL, SCRIPT),
        is_same=True,
    ),
    *pair(
        "deep dict config, study part",
        net("self.features(x)*cfg['model']['scale']", "cfg={'model':{'scale':2.0},'train':{'trials':1}}"),
        ("'trials':1", "'trials':2"),
        kinds=(CELL, SCRIPT),
        is_same=True,
    ),
    *pair(
        "global read by build",
        net("self.features(x)*self.k")
        + """\
# %%
def make(num_classes):
    m=Net(num_classes)
    m.k=WIDTH
    return m
WIDTH=2
""",
        ("WIDTH=2", "WIDTH=3"),
    ),
    *pair(
        "subclass str",
        net(
            "self.features(x)*len(S)",
            """\
class S2(str): pass
S=S2('ab')""",
        ),
        ("'ab'", "'abc'"),
    ),
    *pair(
        "torch.compile disabled fn",
        net(
            "act(self.features(x))",
            """\
@torch.compiler.disable
def act(x): return x*2""",
        ),
        ("x*2", "x*3"),
    ),
    *pair(
        "checkpoint lambda",
        net(
            "torch.utils.checkpoint.checkpoint(lambda y: self.features(y)*2, x, use_reentrant=False)",
            "import torch.utils.checkpoint",
        ),
        ("*2", "*3"),
    ),
    *pair("vmap", net("torch.func.vmap(lambda y: y*2)(self.features(x))"), ("y*2", "y*3")),
    *pair(
        "weight norm",
        net("self.features(x)")
        + """\
# %%
def make(num_classes):
    m=Net(num_classes)
    nn.utils.parametrizations.weight_norm(m.head)
    return m
""",
        is_same=True,
    ),
    *pair(
        "time global",
        net(
            "self.features(x)*1",
            """\
import time
NOW=time.time()""",
        ),
        is_same=True,
        kinds=(CELL,),
    ),
    *pair(
        "tqdm/matplotlib in same cell",
        net(
            "self.features(x)",
            """\
import logging
log=logging.getLogger('a')
hist=[]
for i in range(3): hist.append(i)""",
        ),
        ("range(3)", "range(4)"),
        kinds=(CELL,),
        is_same=True,
    ),
    *pair(
        "async/await unaffected",
        net("self.features(x)")
        + """\
# %%
import asyncio
await asyncio.sleep(0)
""",
        kinds=(CELL,),
        is_same=True,
    ),
    *pair("super call arg", net("super().features(x)*2"), ("*2", "*3")),
    *pair(
        "operator itemgetter",
        net(
            "self.features(x)*G([2.0,3.0])",
            """\
import operator
G=operator.itemgetter(0)""",
        ),
        ("itemgetter(0)", "itemgetter(1)"),
    ),
    *pair(
        "nonlocal counter closure",
        net(
            "self.features(x)*K()",
            """\
def mk():
    n=0
    def f():
        nonlocal n
        n+=1
        return 2.0
    return f
K=mk()""",
        ),
        is_same=True,
    ),
]
