"""The list of sets: what each is, where it comes from, and on what terms."""

from fanin.lab.data import Entry
from fanin.lab.datasets import bundled, images, lags, made, series, speech, text

_DIGITS = "UCI Optical Recognition of Handwritten Digits (Alpaydin & Kaynak 1998), as in scikit-learn"
_MAAS = "Large Movie Review Dataset, Maas et al., ACL 2011"
_UCI, _RESEARCH, _OURS = "CC BY 4.0", "research use, cite", "Apache-2.0, as fanin"
_MADE, _BSD = "made by scikit-learn from a fixed seed", "BSD-3-Clause, as scikit-learn"
_EXAMPLES = ("examples",)
_LENGTH = ("length", "examples")
_FILES = "FANIN_DATA"

ENTRIES: dict[str, Entry] = {
    "digits": Entry(
        bundled.digits,
        "8 × 8 grey images of ten digits, 1,347 + 450, bundled with scikit-learn",
        *(_DIGITS, _UCI, _EXAMPLES),
    ),
    "digits_images": Entry(bundled.digits_images, "the digits, as images (1, 8, 8) only", _DIGITS, _UCI, _EXAMPLES),
    "digits_autoencoder": Entry(
        bundled.digits_autoencoder, "the digits; the target is the input", _DIGITS, _UCI, _EXAMPLES
    ),
    "breast_cancer": Entry(
        bundled.breast_cancer,
        "malignant or benign from 30 features, 426 + 143, bundled with scikit-learn",
        *("UCI Breast Cancer Wisconsin (Diagnostic), Street et al. 1993", _UCI, _EXAMPLES),
    ),
    "wine": Entry(
        bundled.wine,
        "three cultivars from 13 features, 133 + 45, bundled with scikit-learn",
        *("UCI Wine, Aeberhard et al. 1992", _UCI, _EXAMPLES),
    ),
    "diabetes": Entry(
        bundled.diabetes,
        "regression on ten features, 331 + 111, bundled with scikit-learn",
        *("Efron et al., Annals of Statistics 2004, as in scikit-learn", "public", _EXAMPLES),
    ),
    "imbalanced": Entry(made.imbalanced, "two classes 1 : 20 on 20 features, 3,150 + 1,050", _MADE, _BSD, _EXAMPLES),
    "multilabel": Entry(
        made.multilabel, "eight labels, about three an example, on 40 features, 3,000 + 1,000", _MADE, _BSD, _EXAMPLES
    ),
    "cifar10": Entry(
        images.cifar10,
        "photographs of ten kinds from FANIN_DATA, 50,000 + 10,000; size: pixels along an edge (32)",
        *("CIFAR-10, Krizhevsky 2009", _RESEARCH),
        needs=_FILES,
    ),
    "imdb": Entry(
        text.imdb,
        "film reviews, good or bad, from FANIN_DATA, 25,000 + 25,000; size: words of one review (128)",
        *(_MAAS, _RESEARCH),
        needs=_FILES,
    ),
    "imdb_bow": Entry(
        text.imdb_bow,
        "the film reviews as tf-idf of words; size: number of words that have a feature (2,000)",
        *(_MAAS, _RESEARCH),
        needs=_FILES,
    ),
    "tinyshakespeare": Entry(
        text.tinyshakespeare,
        "next character, from FANIN_DATA; size: characters of one row (64)",
        *("karpathy/char-rnn, 2015", "public domain text"),
        needs=_FILES,
    ),
    "spoken_digits": Entry(
        speech.spoken_digits,
        "ten digits spoken by six people, log-mel features, from FANIN_DATA, 2,700 + 300; size: mel bands (40)",
        *("Free Spoken Digit Dataset, Jackson et al. 2018", "CC BY-SA 4.0"),
        needs=f"{_FILES}, fanin[speech]",
    ),
    "series": Entry(
        series.series,
        "the next value of three sines and autoregressive noise, 3,000 + 1,000; size: values of a window (32)",
        *("made by fanin from a fixed seed", _OURS),
    ),
    "sunspots": Entry(
        series.sunspots,
        "the next of the yearly sunspot numbers 1700–2008, 216 + 71; size: years of a window (22)",
        *("SIDC, Royal Observatory of Belgium, as in statsmodels", "public domain"),
        needs="fanin[series]",
    ),
    "adding": Entry(
        lags.adding,
        "the sum of two marked numbers in a sequence, 20,000 + 2,000; length: of the sequence (100)",
        *("Hochreiter & Schmidhuber 1997; Le et al. 2015", _OURS, _LENGTH),
    ),
    "copying": Entry(
        lags.copying,
        "ten symbols recalled after many steps, 20,000 + 2,000; length: steps in between (100)",
        *("Hochreiter & Schmidhuber 1997; Arjovsky et al. 2016", _OURS, _LENGTH),
    ),
}
