"""Filters that are orthogonal in space are so in frequency."""

import numpy as np
import pytest
from tests.rules.slots import drawn, keeps, slot

from fanin import rules
from fanin.errors import FaninError


@pytest.mark.parametrize(("axes", "shape"), [("oik", (5, 3, 8)), ("oikk", (5, 4, 3, 3))])
def test_the_spectra_of_one_outputs_filters_are_orthogonal(axes, shape):
    """The claim of the paper, checked where it makes it: the full Fourier transforms have inner product 0."""
    w = drawn(rules.convolution_aware(), slot(axes, shape))
    spectra = np.fft.fftn(w, axes=tuple(range(2, w.ndim))).reshape(*shape[:2], -1)
    gram = np.einsum("oif,ojf->oij", spectra, spectra.conj())
    sizes = np.einsum("oii->oi", gram).real
    assert np.abs(gram / sizes[:, :1, None] - np.eye(shape[1])).max() < 1e-12


@pytest.mark.parametrize(
    ("axes", "shape"),
    [
        ("oikk", (6, 20, 3, 3)),
        ("(s3o)ik", (12, 2, 5)),
        ("(s3i)ok", (6, 4, 5)),
        ("kkio", (3, 3, 4, 6)),
        ("oikkk", (2, 30, 2, 3, 2)),
    ],
)
def test_every_layout_and_more_inputs_than_taps(axes, shape):
    keeps(rules.convolution_aware("relu"), slot(axes, shape))


def test_every_output_has_exactly_hes_size():
    w = drawn(rules.convolution_aware("relu"), slot("oikk", (50, 7, 3, 3)))
    assert np.allclose((w**2).sum((1, 2, 3)), 2.0)


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (slot("oi", (4, 4)), "a basis of filters needs a receptive field of at least 2 taps; use orthogonal"),
        (slot("oikk", (4, 4, 1, 1)), "at least 2 taps"),
        (slot("oik", (0, 4, 3)), "no elements"),
        (slot(None, (4,)), "needs to know what the axes"),
    ],
)
def test_bad_input(of, words):
    with pytest.raises(FaninError, match=words):
        rules.convolution_aware()(of)
