"""The list of models: what each is, what it takes, and where it comes from."""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fanin.lab.models.facts import Kind
from fanin.records import Record


@dataclass(frozen=True)
class ModelInfo(Record):
    """A model that can be asked for.

    Attributes:
        name: as specs say it.
        about: one sentence.
        paper: where it comes from.
        place: "module:function" that builds it; called with the data's `Facts` and the spec's arguments.
        kinds: kinds of inputs that it takes, the one that it is meant for first.
        each: whether it gives outputs at each position of an example (True), one output an example (False), or what the data
            asks for (None).
        own: whether it is a factory of the user's.
    """

    name: str
    about: str
    paper: str
    place: str
    kinds: tuple[Kind, ...]
    each: bool | None = False
    own: bool = False

    @property
    def function(self) -> Callable[..., Any]:
        """The function that builds it; loads PyTorch."""
        module, _, name = self.place.partition(":")
        return getattr(importlib.import_module(module), name)

    @property
    def arguments(self) -> tuple[str, ...]:
        """Names of the arguments that a spec may give."""
        return tuple(inspect.signature(self.function).parameters)[1:]


def table() -> dict[str, ModelInfo]:
    """Every model, by name.

    Example:
        >>> print(table()["lenet"].paper)
        LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition"
    """
    return {info.name: info for info in _MODELS}


_HERE = "fanin.lab.models"
_MODELS = (
    ModelInfo(
        "mlp",
        "hidden layers of one width, each with an activation; plain or residual, with or without norms",
        'Rumelhart, Hinton & Williams 1986, "Learning representations by back-propagating errors"',
        f"{_HERE}.mlp_torch:mlp",
        ("vector", "sequence", "image"),
    ),
    ModelInfo(
        "linear",
        "one layer: linear or softmax regression as a network",
        'Cox 1958, "The regression analysis of binary sequences"',
        f"{_HERE}.mlp_torch:linear",
        ("vector", "sequence", "image"),
    ),
    ModelInfo(
        "autoencoder",
        "layers that narrow to a code and widen again, for data whose target is the input",
        'Hinton & Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks"',
        f"{_HERE}.autoencoder_torch:autoencoder",
        ("vector", "sequence", "image"),
    ),
    ModelInfo(
        "lenet",
        "LeNet-5: two convolutions and three layers",
        'LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition"',
        f"{_HERE}.lenet_torch:lenet",
        ("image",),
    ),
    ModelInfo(
        "vgg",
        "plain stacks of 3 × 3 convolutions, 11 to 19 layers, with or without norms",
        'Simonyan & Zisserman 2015, "Very deep convolutional networks for large-scale image recognition"',
        f"{_HERE}.vgg_torch:vgg",
        ("image",),
    ),
    ModelInfo(
        "resnet",
        "residual convolutional net for small images, 20 to 110 layers and more, with or without norms",
        'He, Zhang, Ren & Sun 2016, "Deep residual learning for image recognition", section 4.2',
        f"{_HERE}.resnet_torch:resnet",
        ("image",),
    ),
    ModelInfo(
        "densenet",
        "convolutional net whose layers read all layers before them, with or without bottlenecks",
        'Huang, Liu, van der Maaten & Weinberger 2017, "Densely connected convolutional networks"',
        f"{_HERE}.densenet_torch:densenet",
        ("image",),
    ),
    ModelInfo(
        "vit",
        "vision transformer on patches; DeiT-Ti by default",
        'Dosovitskiy et al. 2021, "An image is worth 16x16 words"; Touvron et al. 2021, "Training data-efficient image transformers"',
        f"{_HERE}.vit_torch:vit",
        ("image",),
    ),
    ModelInfo(
        "mixer",
        "MLP-Mixer on patches, a quarter of the width of S/16 by default",
        'Tolstikhin et al. 2021, "MLP-Mixer: an all-MLP architecture for vision"',
        f"{_HERE}.mixer_torch:mixer",
        ("image",),
    ),
    ModelInfo(
        "char_transformer",
        "transformer that predicts the next id at each position",
        'Radford et al. 2019, "Language models are unsupervised multitask learners"; Karpathy 2022, nanoGPT',
        f"{_HERE}.transformer_torch:char_transformer",
        ("ids",),
        each=True,
    ),
    ModelInfo(
        "lstm",
        "long short-term memory, for one output or one at each position",
        'Hochreiter & Schmidhuber 1997, "Long short-term memory"; Gers, Schmidhuber & Cummins 2000',
        f"{_HERE}.recurrent_torch:lstm",
        ("ids", "sequence"),
        each=None,
    ),
    ModelInfo(
        "gru",
        "gated recurrent units, for one output or one at each position",
        'Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder"',
        f"{_HERE}.recurrent_torch:gru",
        ("ids", "sequence"),
        each=None,
    ),
    ModelInfo(
        "rnn",
        "recurrent net without gates, for one output or one at each position",
        'Elman 1990, "Finding structure in time"',
        f"{_HERE}.recurrent_torch:rnn",
        ("ids", "sequence"),
        each=None,
    ),
    ModelInfo(
        "series_lstm",
        "small LSTM on a window of a series",
        'Hochreiter & Schmidhuber 1997, "Long short-term memory"',
        f"{_HERE}.recurrent_torch:series_lstm",
        ("sequence", "vector"),
    ),
    ModelInfo(
        "text_embedding",
        "mean of the embeddings of the words, then a layer or more",
        'Iyyer et al. 2015, "Deep unordered composition rivals syntactic methods"; Joulin et al. 2017, fastText',
        f"{_HERE}.text_torch:text_embedding",
        ("ids",),
    ),
    ModelInfo(
        "text_cnn",
        "convolutions over windows of words, the largest value of each",
        'Kim 2014, "Convolutional neural networks for sentence classification"',
        f"{_HERE}.text_torch:text_cnn",
        ("ids",),
    ),
    ModelInfo(
        "text_transformer",
        "small transformer encoder of a text",
        'Vaswani et al. 2017, "Attention is all you need"',
        f"{_HERE}.transformer_torch:text_transformer",
        ("ids",),
    ),
    ModelInfo(
        "speech_cnn",
        "two convolutions over frames and mel bands, a narrow linear layer, one hidden layer",
        'Sainath & Parada 2015, "Convolutional neural networks for small-footprint keyword spotting"',
        f"{_HERE}.speech_torch:speech_cnn",
        ("image",),
    ),
)
ALIASES = {"logistic": "linear", "softmax": "linear"}
