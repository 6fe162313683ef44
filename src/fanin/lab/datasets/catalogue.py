"""The list of sets: what each is, where it comes from, and on what terms."""

from fanin.lab.data import Entry
from fanin.lab.datasets import bundled, images, text

_DIGITS = "UCI Optical Recognition of Handwritten Digits, as in scikit-learn"
_UCI = "CC BY 4.0"
_MAAS = "Large Movie Review Dataset, Maas et al., ACL 2011"
_RESEARCH = "research use, cite"
_EXAMPLES = ("examples",)
_FILES = "FANIN_DATA"

ENTRIES: dict[str, Entry] = {
    "digits": Entry(
        bundled.digits,
        "8 × 8 grey images of ten digits, 1,347 + 450, bundled with scikit-learn",
        *(_DIGITS, _UCI, _EXAMPLES),
    ),
    "digits_images": Entry(bundled.digits_images, "the digits, as images (1, 8, 8) only", *(_DIGITS, _UCI, _EXAMPLES)),
    "digits_autoencoder": Entry(
        bundled.digits_autoencoder, "the digits; the target is the input", *(_DIGITS, _UCI, _EXAMPLES)
    ),
    "diabetes": Entry(
        bundled.diabetes,
        "regression on ten features, 331 + 111, bundled with scikit-learn",
        *("Efron et al., Annals of Statistics 2004, as in scikit-learn", "public", _EXAMPLES),
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
    "tinyshakespeare": Entry(
        text.tinyshakespeare,
        "next character, from FANIN_DATA; size: characters of one row (64)",
        *("karpathy/char-rnn, 2015", "public domain text"),
        needs=_FILES,
    ),
}
