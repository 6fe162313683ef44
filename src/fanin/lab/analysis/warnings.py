"""What should be known before the figures of a study are believed."""

from collections import Counter
from collections.abc import Sequence

from fanin.lab.analysis.planning import too_few_seeds
from fanin.lab.analysis.records import ContextAnalysis
from fanin.lab.study.records import Study
from fanin.lab.study.rows import RunRow

FEW = 8  # seeds of which an interval cannot be trusted: they cannot show the shape of their population


def warnings_of(study: Study, rows: Sequence[RunRow], contexts: Sequence[ContextAnalysis]) -> tuple[str, ...]:
    """One sentence each: runs that are missing or failed, a grid that is too narrow, too few seeds, nothing held out."""
    found = []
    pending = sum(row.state == "pending" for row in rows)
    failed = sum(row.state == "failed" for row in rows)
    if pending:
        found.append(f"{pending:,} of {len(rows):,} runs are not done yet; the figures are over those that are.")
    if failed:
        found.append(f"{failed:,} of {len(rows):,} runs have no result; the figures are over the others.")
    found += _edges(contexts)
    if study.training.validation <= 0:
        chosen = ", so each learning rate was chosen by the training loss" if len(study.lrs) > 1 else ""
        found.append(f"Nothing was held out{chosen}: what is called held-out is the test part, that of curves too.")
    if 0 < len(study.seeds) < FEW:
        few = "1 seed is" if len(study.seeds) == 1 else f"{len(study.seeds)} seeds are"
        found.append(f"{few} too few for an interval to be trusted; it takes {FEW}.")
    short = [too_few_seeds(len(study.seeds), len(c.pairs)) for c in contexts if c.pairs]
    found += dict.fromkeys(filter(None, short))
    return tuple(found)


def _edges(contexts: Sequence[ContextAnalysis]) -> list[str]:
    """Which methods found their best learning rate at an end of the axis, one sentence an end."""
    sentences = []
    for edge in ("smallest", "largest"):
        cells = [cell for context in contexts for cell in context.cells if cell.edge == edge]
        if not cells:
            continue
        found = Counter(cell.method for cell in cells)
        names = list(found) if len(contexts) == 1 else [f"{name} in {n}" for name, n in found.items()]
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        where = "" if len(contexts) == 1 else f" of {len(contexts)} contexts"
        lr = min(c.lr for c in cells) if edge == "smallest" else max(c.lr for c in cells)
        sentences.append(
            f"The grid of learning rates may be too narrow: the {edge}, {lr:g}, is the best of {shown}{where}."
        )
    return sentences
