"""What a preset's file holds: facts about the recipe, and an ordered list of which weights get which rule.

One TOML file a preset, `<name>.toml` in this folder:

    title = "GPT-2"                            # one line
    source = "where the recipe stands"         # paper, or file of a repository
    assumes = "what it assumes of the model"
    verified = "what the numbers were compared with"

    [parameters]                               # numbers that the rules may use as {name}, with their defaults
    std = 0.02

    [[weights]]                                # ordered; of the entries that match a weight, the last one counts
    role = ["weight", "embedding"]             # criteria: all that are given must hold, one of several words each
    rule = "normal(std={std})"                 # a rule's spec, or keep = true

Criteria: `role`, `op`, `parts` (as `Slot` has them; `parts` knows "query", "key", "value" of written-out attention too),
`branch` ("last", "inner", "none": the weight's place on a residual branch), `head`, `tied`, `first`, `normed` (the branch ends in a
norm), `norm_before`, `activation` (true, false, or names), `gate` (true for the linear half of a gated product: on a branch, not
its last, no activation, no part of an attention), `taps` (true for convolutions), `scalar` (true for a single number), `tokens` (a
table whose rows the batch picks; false where the rows are always the same, as positions are), `rank` (numbers of axes), `name`
(patterns over names), `module` (class names).

A rule may use {a product} of parameters, numbers, and what is known of the weight: `per_root_hidden` (1/√hidden size of a
recurrent layer), `per_root_branches` (1/√branches of its stream), `per_root_channels` (1/√length of the last axis) and
`per_root_first_in` (1/√extent of the first axis of its inputs). With `from_weight = true`, the entry is about biases that belong to
a weight: the rule is asked about that weight, and what it says is drawn for the bias (PyTorch's biases follow their weight's fan).

The bias behind the step sizes of a state space (`fanin.plans.steps`) is drawn by entries that name it alone.
"""

from dataclasses import dataclass, field

from fanin.records import Record

WORDS = ("role", "op", "parts", "branch", "name", "module")
FLAGS = ("head", "tied", "first", "normed", "norm_before", "gate", "taps", "scalar", "tokens")
CRITERIA = (*WORDS, *FLAGS, "activation", "rank")


@dataclass(frozen=True)
class Recipe(Record):
    """Which weights get which rule.

    Attributes:
        rule: spec of a rule, with parameters as {name}; "" keeps the present values.
        words: criterion → accepted words.
        flags: criterion → wanted.
        rank: accepted numbers of axes (any, where empty).
        from_weight: whether the rule is asked about the weight beside this bias.
    """

    rule: str
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    flags: dict[str, bool] = field(default_factory=dict)
    rank: tuple[int, ...] = ()
    from_weight: bool = False


@dataclass(frozen=True)
class Preset(Record):
    """A recipe for a whole model.

    Attributes:
        name: what it is called by.
        title: in one line.
        source: the paper, or the file of the repository, that it is from.
        assumes: what it assumes of the model.
        verified: what its numbers were compared with.
        parameters: numbers that may be given, as in "gpt2(std=0.01)", and their values here.
        recipes: which weights get which rule; the last that matches counts.
    """

    name: str
    title: str
    source: str
    assumes: str
    verified: str
    parameters: dict[str, float]
    recipes: tuple[Recipe, ...]

    @property
    def spec(self) -> str:
        """The name with its parameters, as `fanin.plan(rules=...)` takes it."""
        inside = ", ".join(f"{name}={value:g}" for name, value in self.parameters.items())
        return f"{self.name}({inside})" if inside else self.name

    def __str__(self) -> str:
        return f"{self.spec}: {self.title}"
