"""One row a run: axes, state, metrics; nothing lost and nothing rounded."""

import math
from pathlib import Path

import pytest
from tests.lab.analysis import samples

from fanin.errors import FaninValueError
from fanin.lab.export import export_csv, export_parquet, export_rows, read_csv, to_pandas
from fanin.lab.results import StudyResults


def score(plan: str, lr: float, context: dict, seed: int, noise: float) -> float | None:
    if plan == "default" and seed == 1:
        return None
    return math.nan if seed == 2 else 0.9 + 0.01 * noise


def mixed() -> StudyResults:
    return samples.results(
        scorer=score,
        plans=("default", "scaled(gain={gain})"),
        models=("mlp(depth={depth})",),
        variables={"depth": (2, 30), "gain": (0.5, 1.0)},
        seeds=samples.seeds(3),
        lrs=(0.01, 0.1),
    )


def test_every_run_has_a_row_and_every_axis_a_column() -> None:
    results = mixed()
    rows = export_rows(results)
    assert len(rows) == len(results.rows)
    assert len({tuple(row) for row in rows}) == 1
    scaled = next(row for row in rows if row["plan"] == "scaled(gain=0.5)" and row["depth"] == 30 and row["seed"] == 0)
    assert (scaled["gain"], scaled["lr"], scaled["state"], scaled["study"]) == (0.5, 0.01, "done", "sample")
    assert next(row for row in rows if row["plan"] == "default")["gain"] is None
    failed = [row for row in rows if row["state"] == "failed"]
    assert len(failed) == 4
    assert all(row["error"] and row["test.accuracy"] is None for row in failed)
    assert all(row["test.accuracy"] == samples.CONSTANT for row in rows if row["diverged"])


def test_csv_comes_back_equal(tmp_path: Path) -> None:
    results = mixed()
    path = export_csv(results, tmp_path / "runs.csv")
    read = read_csv(path)
    for wrote, got in zip(export_rows(results), read, strict=True):
        assert {k: v for k, v in got.items() if v is not None} == {k: v for k, v in wrote.items() if v is not None}


def test_names_with_commas_quotes_and_lines_survive_csv(tmp_path: Path) -> None:
    plan = "scaled(gain=1.0, mode='fan_in')"
    results = samples.results(scorer=lambda *_: None, plans=(plan,), seeds=samples.seeds(1), lrs=(0.1,))
    read = read_csv(export_csv(results, tmp_path / "runs.csv"))
    assert read[0]["plan"] == plan
    assert read[0]["model"] == "mlp(depth=4, width=64)"


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FaninValueError, match=r"file=.*cannot be written"):
        export_csv(samples.results(), tmp_path / "file" / "runs.csv")


def test_pandas_has_the_same_rows() -> None:
    pandas = pytest.importorskip("pandas")
    results = mixed()
    frame = to_pandas(results)
    assert isinstance(frame, pandas.DataFrame)
    assert len(frame) == len(results.rows)
    assert frame["test.accuracy"].dtype == float
    assert frame.groupby("plan")["diverged"].sum().sum() == sum(row.diverged for row in results.rows)


def test_parquet_has_the_same_rows(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    results = mixed()
    table = parquet.read_table(export_parquet(results, tmp_path / "runs.parquet")).to_pylist()
    assert [row["key"] for row in table] == [row.key for row in results.rows]
    assert table[0]["test.loss"] == results.rows[0].metrics["loss"]
    assert [p.name for p in tmp_path.iterdir()] == ["runs.parquet"]


def test_an_axis_of_words_and_truths_goes_into_parquet_as_text(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    results = samples.results(
        models=("mlp(depth=4, norm={norm})",), variables={"norm": ("batch", False)}, seeds=samples.seeds(1), lrs=(0.1,)
    )
    table = parquet.read_table(export_parquet(results, tmp_path / "runs.parquet")).to_pylist()
    assert [row["norm"] for row in table] == ["batch"] * 3 + ["False"] * 3


def test_a_variable_that_is_called_as_a_column_keeps_its_values() -> None:
    results = samples.results(
        models=("mlp(depth={steps})",),
        variables={"steps": (2, 30)},
        plans=("default",),
        seeds=samples.seeds(1),
        lrs=(0.1,),
    )
    rows = export_rows(results)
    assert [row["axis_steps"] for row in rows] == [2, 30]
    assert all(row["steps"] == run.steps for row, run in zip(rows, results.rows, strict=True))
