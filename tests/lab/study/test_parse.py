"""Study files: what they say, what they may not say, and that they can be written and read again."""

import dataclasses
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanin.errors import FaninError, FaninValueError
from fanin.lab.study.parse import parse_study, read_study_file
from fanin.lab.study.records import Expectation, Study, TrainingSettings
from fanin.lab.study.validate import check_study
from fanin.lab.study.write import study_text

TEXT = """
name = "he-xavier-depth"
question = "Does He's variance matter at depth?"
answer = "It does."
references = true
[grid]
model = "mlp(depth={depth}, width=64)"
plan = ["default", "he_normal"]
data = "digits"
optimizer = "adam"
batch_size = 32
depth = [10, 30]
seeds = 3
[training]
epochs = 2
clip = 1
metrics = ["log_loss"]
[[expect]]
says = "He trains."
kind = "trains"
plan = "he_normal"
where = {depth = 30}
[[expect]]
says = "He is better, at small size."
kind = "better"
plan = "he_normal"
than = "default"
size = "small"
[small.grid]
depth = 30
seeds = [4, 7]
[small.training]
epochs = 1
"""


def said(text: str) -> str:
    with pytest.raises(FaninError) as caught:
        parse_study(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed(old: str, new: str) -> str:
    assert old in TEXT
    return TEXT.replace(old, new)


def test_a_file_says_a_study_at_two_sizes() -> None:
    file = parse_study(TEXT)
    full, small = file.full, file.small
    assert small is not None
    assert (full.models, full.plans, full.variables) == (
        ("mlp(depth={depth}, width=64)",), ("default", "he_normal"), {"depth": (10, 30)},
    )  # fmt: skip
    assert (full.seeds, full.batch_sizes, full.references) == ((0, 1, 2), (32,), True)
    assert full.training == TrainingSettings(epochs=2.0, clip=1.0, metrics=("log_loss",))
    assert [e.kind for e in full.expectations] == ["trains"]
    assert [e.kind for e in small.expectations] == ["trains", "better"]
    assert (small.name, small.variables, small.seeds) == ("he-xavier-depth-small", {"depth": (30,)}, (4, 7))
    assert small.training == TrainingSettings(epochs=1.0, clip=1.0, metrics=("log_loss",))


def test_learning_rates_that_are_left_out_suit_the_optimizer() -> None:
    assert parse_study(TEXT).full.lrs == (0.0001, 0.0003, 0.001, 0.003, 0.01)
    assert parse_study(changed('optimizer = "adam"\n', "")).full.lrs == (0.001, 0.003, 0.01, 0.03, 0.1)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("references", "refrences", "the study has no key 'refrences'; did you mean 'references'?"),
        ("optimizer =", "optimzer =", "grid has 'optimzer', which is neither an axis nor named in a text; did you mean 'optimizer'?"),
        ("seeds = 3\n", "seeds = 3\nlearning_rate = 0.1\n", "which is neither an axis nor named in a text; did you mean 'lr'?"),
        ("epochs = 2", "epoch = 2", "training has no key 'epoch'; did you mean 'epochs'?"),
        ("kind = \"trains\"", "knd = \"trains\"", "expect 1 has no key 'knd'; did you mean 'kind'?"),
        ("kind = \"trains\"", "kind = \"train\"", "expect 1: kind='train' must be one of"),
        ("[small.grid]", "[small.gird]", "small has no key 'gird'; did you mean 'grid'?"),
        ("depth = [10, 30]", "depth = []", "grid.depth has no value"),
        ("depth = [10, 30]", "depth = [10, 10]", "depth has 10 twice"),
        ("depth = [10, 30]", "depth = [\"10\", \"30\"]", "grid.depth='10' is a number written as text; write 10 without quotes"),
        ("depth = [10, 30]", "depth = [[10, 30]]", "grid.depth holds [10, 30]"),
        ("batch_size = 32", "batch_size = 0", "batch_size=0 must be at least 1"),
        ("batch_size = 32", "batch_size = \"32\"", "batch_size='32' must be a whole number"),
        ("batch_size = 32", "lr = -0.1", "lr=-0.1 must be above 0"),
        ("batch_size = 32", "lr = 0", "lr=0 must be above 0"),
        ("batch_size = 32", "lr = nan", "lr=nan must be above 0"),
        ("batch_size = 32", "lr = \"0.1\"", "lr='0.1' is a number written as text"),
        ("batch_size = 32", "lr = [0.1, 0.10]", "lr has 0.1 twice"),
        ("seeds = 3\n", "seeds = 1.5\n", "seeds=1.5 must be a whole number"),
        ("seeds = 3\n", "seeds = 0\n", "seeds=0 must be from 1"),
        ("seeds = 3\n", "seeds = [1, -1]\n", "seeds=-1 must be at least 0"),
        ("seeds = 3\n", "seeds = [9223372036854775808]\n", "seeds=9223372036854775808 must be at most 9223372036854775807"),
        ("optimizer = \"adam\"", "optimizer = \"adm\"", "optimizer='adm' is unknown"),
        ("epochs = 2", "epochs = \"2\"", "training.epochs='2' is a number written as text"),
        ("epochs = 2", "epochs = 0", "training.epochs=0 must be above 0"),
        ("epochs = 2", "schedule = \"cosin\"", "did you mean 'cosine'?"),
        ("epochs = 2", "validation = 1.0", "training.validation=1.0 must be at least 0 and below 1"),
        ("name = \"he-xavier-depth\"", "", "it has no name"),
        ("name = \"he-xavier-depth\"", "name = \"a/b\"", "name='a/b' must be made of letters"),
        ("model = \"mlp(depth={depth}, width=64)\"", "", "grid has no model"),
        ("than = \"default\"\n", "", "small: expect 2: kind='better' needs than"),
        ("where = {depth = 30}", "lr = 0.7", "expect 1: lr=0.7 is not in the grid"),
        ("size = \"small\"", "size = \"tiny\"", "expect 2: size='tiny' must be 'full' or 'small'"),
        ("[grid]", "[grid", "is no TOML"),
    ],
)  # fmt: skip
def test_what_a_file_may_not_say(old: str, new: str, sentence: str) -> None:
    assert sentence in said(changed(old, new))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(TEXT)
    with pytest.raises(FaninValueError, match=r"min\.toml does not exist; did you mean .*mine\.toml"):
        read_study_file(tmp_path / "min.toml")
    (tmp_path / "bad.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(FaninValueError, match="is not text in UTF-8"):
        read_study_file(tmp_path / "bad.toml")
    with pytest.raises(FaninValueError, match="cannot be read"):
        read_study_file(tmp_path)
    assert read_study_file(tmp_path / "mine.toml").full.name == "he-xavier-depth"
    (tmp_path / "marked.toml").write_text(TEXT, encoding="utf-8-sig")  # as some editors of Windows begin a file
    assert read_study_file(tmp_path / "marked.toml").full.name == "he-xavier-depth"


def test_both_sizes_can_be_written_and_read_again() -> None:
    file = parse_study(TEXT)
    for study in (file.full, file.small):
        assert study is not None
        assert parse_study(study_text(study)).full == study


values = st.one_of(
    st.integers(-1000, 1000),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.text(max_size=20).filter(lambda t: not t.strip().lstrip("+-").replace("_", "")[:1].isdigit() and "{" not in t),
)


@given(
    answer=st.text(st.characters(exclude_categories=("Cs",)), max_size=60).map(str.strip),
    variables=st.dictionaries(st.sampled_from(["colour", "shape", "length"]), st.lists(values, min_size=1, max_size=3)),
    lrs=st.lists(st.floats(1e-12, 1e6), min_size=1, max_size=4, unique=True),
    seeds=st.lists(st.integers(0, 10**9), min_size=1, max_size=4, unique=True),
    clip=st.none() | st.floats(1e-6, 1e6),
    where=st.dictionaries(st.sampled_from(["data", "a b", "ü"]), values, max_size=2),
)
def test_any_study_can_be_written_and_read_again(answer, variables, lrs, seeds, clip, where) -> None:
    study = Study(
        "any",
        answer=answer,
        models=('net("quoted", \\ and \t)',),
        lrs=tuple(lrs),
        seeds=tuple(seeds),
        variables={n: tuple(v) for n, v in variables.items()},
        training=TrainingSettings(clip=clip, augment=("flip",), watch=False),
        expectations=(Expectation("It is so.", "trains", "default", where=where),),
    )
    try:
        study = check_study(study)
    except FaninError:  # numbers in quotes, values twice
        return
    if any(isinstance(v, str) and _number(v) for values in study.variables.values() for v in values):
        return
    assert parse_study(study_text(study)).full == study


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_every_field_of_a_study_can_be_written() -> None:
    """A field that is added to the records must not be lost on the way to a file."""
    study = Study(
        "all", "q?", ("mlp",), ("default",), ("wine",), ("adam",), (0.5,), (8,), {"depth": (1, 2)}, (3,),
        TrainingSettings(3, 2.0, "cross_entropy", "linear", 0.1, 2.0, 0.1, ("flip",), 0.2, 3, 0.9, False, ("log_loss",), "cuda", 9.0),
        True, (Expectation("s", "better", "default", "lsuv", "loss", 0.1, None, {"depth": 1}, 0.5),), 9.0, "never", "a",
    )  # fmt: skip
    for record, default in ((study, Study("all")), (study.training, TrainingSettings())):
        unchanged = [f.name for f in dataclasses.fields(record) if getattr(record, f.name) == getattr(default, f.name)]
        assert not set(unchanged) - {"name"}, "this test must give every field a value that is not its default"
    assert parse_study(study_text(study)).full == check_study(study)


def test_many_seeds_are_checked_in_no_time() -> None:
    begun = time.process_time()
    assert len(check_study(Study("s", models=("mlp",), seeds=tuple(range(100_000)))).seeds) == 100_000
    assert time.process_time() - begun < 10
