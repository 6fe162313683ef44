"""What every statistic shares: records that survive JSON, and imports that stay light."""

import subprocess
import sys

import pytest

from fanin.lab import statistics as st
from fanin.records import Record

SAMPLES: dict[str, Record] = {
    "estimate": st.median_interval([0.1, float("inf")]),
    "cell": st.given_convergence([0.9, 0.1], [False, True]),
    "verdict": st.verdict([0.01, 0.02, 0.03, 0.01, 0.02, 0.04], margin=0.1),
    "tuned": st.tuned_verdicts(
        st.Tuned({0.1: [0.9] * 6}, {0.1: [0.9] * 6}), [st.Tuned({0.1: [0.8] * 6}, {0.1: [0.8] * 6})]
    )[0],
    "survival": st.kaplan_meier([1, 2, 3], [True, False, True]),
    "profile": st.performance_profile([[0.1, 0.2], [0.3, 0.4]], [0.15]),
    "seeds": st.seeds_needed(0.01, 0.01, pilot=5),
    "tested": st.log_rank(([1, 2], [True, True]), ([3, 4], [True, False])),
    "null": st.null_study(st.Tuned({0.1: [0.9] * 12}, {0.1: [0.9] * 12}), 6, replications=3),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_records_survive_json(name: str) -> None:
    record = SAMPLES[name]
    assert repr(type(record).from_dict(record.to_dict())) == repr(record)


def test_scipys_stats_are_not_imported() -> None:
    code = "import sys; import fanin.lab.statistics; sys.exit('scipy.stats' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
