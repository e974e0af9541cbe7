"""A study's configuration in Python: the settings of `tasearch optimize`, models and data as names or objects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from pydantic import PrivateAttr, ValidationError

from tasearch.config.resolve import config_error
from tasearch.config.settings import Settings
from tasearch.domain.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

Pair = tuple[Any, Any]
"""A train and a test set, each with len() and [index] giving (image, label)."""


class StudyConfig(Settings):
    """What `tasearch.optimize` is asked for.

    Every field is the flag of `tasearch optimize` with the same name (`max_tas` is `--max-tas`), with the same
    default; `tasearch optimize --help` explains them. Environment variables have no say here.

    `teacher`, `student` and each of `tas` may be a function `net(num_classes)` that returns a network, and `dataset`
    a pair of datasets (train, test) of (image, label), where the command line takes names only. Objects live in this
    process: such a study has one worker, and whoever goes on with it hands them over again.

    Raises ConfigError naming the setting, its value and what is allowed.
    """

    _objects: Pair | None = PrivateAttr(None)
    _nets: dict[str, Any] = PrivateAttr(default_factory=dict)

    def __init__(
        self,
        *,
        teacher: str | Callable[..., nn.Module],
        student: str | Callable[..., nn.Module],
        dataset: str | Pair | None = None,
        tas: Iterable[str | Callable[..., nn.Module]] | str | None = None,
        **settings: Any,
    ) -> None:
        nets: dict[str, Callable[..., nn.Module]] = {}
        values: dict[str, Any] = {
            "teacher": _model_name(teacher, nets),
            "student": _model_name(student, nets),
            **settings,
        }
        objects = None
        if isinstance(dataset, tuple):
            values["dataset"], objects = _data_name(dataset), dataset
        elif dataset is not None:
            values["dataset"] = dataset
        if tas is not None:
            values["tas"] = tas if isinstance(tas, str) else tuple(_model_name(ta, nets) for ta in tas)
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise config_error(error, {name: name for name in Settings.model_fields}) from None
        self._objects, self._nets = objects, nets

    @property
    def objects(self) -> Pair | None:
        """The datasets that were handed over, None where the data have a name."""
        return self._objects

    def settings(self) -> Settings:
        """Return the settings alone, as the command line has them; its functions are known by their names again.

        A function that was defined again since then, in a cell that was run again, may have taken their names.
        """
        if self._nets:
            from tasearch.models.callables import know

            know(self._nets)
        return Settings(**{name: getattr(self, name) for name in self.model_fields_set})


def _model_name(model: Any, nets: dict[str, Any]) -> Any:
    """Return the name of a model; a function is registered under its own in this process, and added to `nets`.

    Raises ConfigError where another function of this configuration has that name.
    """
    if isinstance(model, str) or not callable(model):
        return model
    from tasearch.api.objects import model_name
    from tasearch.models.callables import is_same

    name = model_name(model)
    if not is_same(nets.setdefault(name, model), model):
        raise ConfigError(
            f"two functions of this study are called {name}: one was defined again under the name of the other",
            hint="give one of them another name",
        )
    return name


def _data_name(pair: Any) -> str:
    from tasearch.data.given import checked_pair, objects_name

    checked_pair("(train, test)", pair)
    return objects_name(pair)
