"""How long the rest of a study will take, from the runs that are done."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from fanin.lab.study.records import RunConfig
from fanin.lab.study.rows import RunRow

Kind = tuple[str, str, str, int]  # runs that take about as long as each other


def kind_of(config: RunConfig) -> Kind:
    """What a run's duration depends on most."""
    return config.model, config.data, config.optimizer, config.batch_size


class Estimate:
    """Learns from each row that comes; the rest is counted kind by kind.

    Args:
        pending: the runs that are left.
    """

    def __init__(self, pending: Iterable[RunConfig]):
        self._left = Counter(kind_of(config) for config in pending)
        self._seen: defaultdict[Kind, list[float]] = defaultdict(lambda: [0, 0.0])  # runs and their seconds

    def add(self, row: RunRow) -> None:
        """A run is over."""
        kind = kind_of(row.config)
        self._left[kind] -= 1
        if row.state == "done":  # a failed run says nothing of the others' duration
            self._seen[kind][0] += 1
            self._seen[kind][1] += row.seconds

    def left(self, elapsed: float, at_work: Sequence[tuple[tuple[RunConfig, ...], float]]) -> float | None:
        """Seconds until the study is done, None before anything is.

        Args:
            elapsed: seconds since the first run was begun.
            at_work: the runs that are at work, and the share of each group that is done.
        """
        runs = sum(count for count, _ in self._seen.values())
        seconds = sum(total for _, total in self._seen.values())
        if not runs or not seconds or elapsed <= 0:
            return None
        mean = seconds / runs
        of_kind = {kind: total / count for kind, (count, total) in self._seen.items()}
        begun = sum(share * sum(of_kind.get(kind_of(c), mean) for c in configs) for configs, share in at_work)
        rest = sum(max(0, count) * of_kind.get(kind, mean) for kind, count in self._left.items())
        rate = (seconds + begun) / elapsed  # runs' seconds a second: how many are at work at once
        return max(0.0, rest - begun) / rate
