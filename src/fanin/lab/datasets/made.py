"""Sets that scikit-learn makes: one class in twenty-one, and several labels at once."""

import numpy as np

from fanin.lab.data import DataSet
from fanin.lab.datasets.bundled import version
from fanin.lab.datasets.parts import STANDARDISED, split

RARE, COMMON = 200, 4000  # examples of the two classes


def imbalanced(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Two classes, 1 to 20, on 20 features; scored by balanced accuracy, since always saying no is right 95 times in 100."""
    from sklearn.datasets import make_classification

    x, y = (
        np.asarray(a)
        for a in make_classification(
            n_samples=RARE + COMMON,
            n_features=20,
            n_informative=8,
            n_redundant=4,
            n_clusters_per_class=3,
            weights=[COMMON / (RARE + COMMON)],
            flip_y=0,
            random_state=0,
        )
    )
    parts = split(spec, examples, x, y.astype(np.int64), y)
    return DataSet(
        spec,
        "classification",
        *parts,
        classes=2,
        forms=((20,),),
        target=0.75,
        score="balanced_accuracy",
        normalisation=STANDARDISED,
        version=version(),
    )


def multilabel(spec: str, examples: int | None, size: int | None) -> DataSet:
    """Eight labels, about three an example, on counts of 40 words: scikit-learn's `make_multilabel_classification`."""
    from sklearn.datasets import make_multilabel_classification

    made = make_multilabel_classification(n_samples=4000, n_features=40, n_classes=8, n_labels=3, random_state=0)
    x, y = np.asarray(made[0]), np.asarray(made[1])
    parts = split(spec, examples, x, y.astype(np.float32))
    return DataSet(
        spec,
        "multilabel",
        *parts,
        classes=8,
        forms=((40,),),
        target=0.6,
        normalisation=STANDARDISED,
        version=version(),
    )
