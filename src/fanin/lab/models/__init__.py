"""Models by name: `factory("resnet(depth=20)", data)` gives a function that makes fresh ones for a data set.

A spec is the name of a model with arguments, or `module:factory` and `path/file.py:factory` of one's own. What a model needs to
know of the data (the shape of an example, classes, vocabulary) is read from the data set, so that a spec says the rest only.
"""

from fanin.lab.models.facts import Facts, facts_of
from fanin.lab.models.find import build, check, factory, find, takes
from fanin.lab.models.table import ModelInfo, table

__all__ = ["Facts", "ModelInfo", "build", "check", "factory", "facts_of", "find", "table", "takes"]
