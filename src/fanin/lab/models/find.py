"""From a spec to a model: found, checked against the data, built."""

import difflib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fanin.errors import FaninError, FaninValueError
from fanin.lab.data import DataSet, load
from fanin.lab.models.facts import IN_WORDS, Facts, facts_of
from fanin.lab.models.own import OwnFactory, is_own, own_factory, own_info, own_parameters
from fanin.lab.models.table import ALIASES, ModelInfo, table
from fanin.lab.specs import Spec, check_arguments, parse_spec
from fanin.lab.tasks import Task

OUTPUT: dict[Task, str] = {"language": "each position"}


@dataclass(frozen=True)
class Factory:
    """Gives a fresh model at each call; can be pickled.

    Attributes:
        spec: of the model, in its one form.
        facts: of the data that it is built for; `facts.shape` is the form in which the model takes an example.
    """

    spec: str
    facts: Facts

    def __call__(self) -> Any:
        spec = parse_spec(self.spec, "model")
        try:
            return find(spec.name).function(self.facts, **spec.arguments)
        except FaninError as error:
            raise FaninValueError(f"model={self.spec!r}: {error}") from error


def find(spec: str) -> ModelInfo:
    """What is known of the model that a spec names.

    Raises:
        FaninValueError: there is none of that name (the nearest is said), or the user's own factory cannot be found.

    Example:
        >>> find("resnet(depth=56)").kinds
        ('image',)
    """
    if is_own(spec):
        return own_info(spec)
    return _known(parse_spec(spec, "model"))


def takes(spec: str) -> tuple[str, ...]:
    """Names of the arguments that a model takes from a spec, and so of the variables of a study that it can be given.

    Example:
        >>> takes("resnet")
        ('depth', 'norm', 'width', 'activation')
    """
    return own_parameters(spec) if is_own(spec) else find(spec).arguments


def factory(spec: str, data: DataSet | str) -> Callable[[], Any]:
    """A function without arguments that gives a fresh model for this data at each call; it can be pickled.

    Args:
        spec: name with arguments, "module:factory(…)" or "path/file.py:factory(…)". A factory of one's own is given those of
            `input_shape` (of the data's usual form), `classes`, `outputs` and `vocabulary` that it has parameters for, and the
            run's `seed`.
        data: a data set, or its name.

    Raises:
        FaninValueError: the model is unknown, does not take an argument, or does not take inputs or give outputs of this kind.

    Example:
        >>> from fanin.lab.data import load
        >>> make = factory("mlp(depth=3, width=32)", load("digits"))
        >>> sum(p.numel() for p in make().parameters())
        4522
    """
    data = load(data)
    if is_own(spec):
        return own_factory(spec, data, facts_of(data))
    parsed = parse_spec(spec, "model")
    info = _known(parsed)
    check_arguments(parsed, info.function, "model", skip=("data",))
    return Factory(str(parsed), _fitting(info, parsed, data))


def build(spec: str, data: DataSet | str) -> Any:
    """A fresh model for this data; see `factory`.

    Example:
        >>> build("linear", "digits")
        Sequential(
          (0): Linear(in_features=64, out_features=10, bias=True)
        )
    """
    return factory(spec, data)()


def check(spec: str, data: DataSet | str) -> None:
    """Raises `FaninValueError` where a model and a data set do not go together, as `factory` does, and beyond that where the
    model cannot be built with these arguments or a pass with this data fails.

    The model is built without memory for its weights (on PyTorch's meta device), and nothing is computed. A factory of the user's
    own is called and tried on two examples.

    Example:
        >>> check("lenet", "diabetes")
        Traceback (most recent call last):
        fanin.errors.FaninValueError: model='lenet' needs images (channels, height, width), but data='diabetes' gives vectors (10,)
    """
    data = load(data)
    made = factory(spec, data)
    if isinstance(made, OwnFactory):
        from fanin.lab.torch.construct import fit

        try:
            fit(made, data, None, 0)
        except FaninError as error:
            raise FaninValueError(f"model={spec!r}: {error}") from error
        return
    assert isinstance(made, Factory)
    problem = _tried(made, data.task)
    if problem:
        raise FaninValueError(problem.replace("{data}", f"data={data.name!r}"))


def _known(spec: Spec) -> ModelInfo:
    models = table()
    name = ALIASES.get(spec.name, spec.name)
    if name not in models:
        close = difflib.get_close_matches(spec.name, [*models, *ALIASES], 1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise FaninValueError(
            f"model={str(spec)!r} is unknown; accepted are {', '.join(models)}, module:factory and path/file.py:factory{hint}"
        )
    return models[name]


def _fitting(info: ModelInfo, spec: Spec, data: DataSet) -> Facts:
    """The form of the data that the model is meant for, of those that it takes."""
    offered = facts_of(data)
    fitting = [facts for kind in info.kinds for facts in offered if facts.kind == kind]
    if not fitting:
        needs = " or ".join(IN_WORDS[kind] for kind in info.kinds)
        gives = " or ".join(f"{IN_WORDS[f.kind].partition(' ')[0]} {f.shape}" for f in offered) or str(data.forms)
        raise FaninValueError(f"model={str(spec)!r} needs {needs}, but data={data.name!r} gives {gives}")
    if fitting[0].kind == "ids" and not data.vocabulary:
        raise FaninValueError(
            f"model={str(spec)!r} needs ids of a known number, but data={data.name!r} has whole numbers without one; "
            "give a DataSet with vocabulary="
        )
    each = fitting[0].positions
    if info.each is not None and info.each != each:
        words = {True: "at each position", False: "for each example"}
        raise FaninValueError(
            f"model={str(spec)!r} gives one output {words[info.each]}, but data={data.name!r} wants one {words[each]}"
        )
    return fitting[0]


@functools.lru_cache(maxsize=512)
def _tried(made: Factory, task: Task) -> str:
    """What goes wrong when the model is built and runs without memory, "" for nothing; {data} stands for the data."""
    from fanin.lab.models.trial_torch import trial

    return trial(made, task)
