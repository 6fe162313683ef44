"""`hf:DIR_OR_CONFIG.json`: a model of transformers from its configuration, with fresh weights and no download."""

import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fanin.errors import FaninValueError


def builder(text: str) -> Callable[[], Any]:
    """A function that builds the model of a configuration: the class that `architectures` names, else the bare model.

    Raises:
        FaninValueError: transformers is not installed, the file is missing or no configuration, or asks for code of its own.
    """
    path = Path(text.removeprefix("hf:"))
    file = path / "config.json" if path.is_dir() else path
    if not file.is_file():
        what = f"the folder {path} has no config.json" if path.is_dir() else f"the file {path} does not exist"
        raise FaninValueError(
            f"TARGET={text!r}: {what}; name a folder with a config.json, or the file (nothing is downloaded)"
        )
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise FaninValueError(f"TARGET: {file} is not whole JSON: {error}") from None
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        raise FaninValueError(f"TARGET: {file} is not a configuration of transformers: it has no model_type")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    try:
        transformers = importlib.import_module("transformers")  # its stubs would take pyright 20 seconds
    except ImportError:
        raise FaninValueError("TARGET: hf: needs the package transformers; pip install transformers") from None
    kind = config["model_type"]
    if kind not in transformers.CONFIG_MAPPING:
        own = " (code that comes with a checkpoint is not run)" if "auto_map" in config else ""
        raise FaninValueError(f"TARGET: transformers {transformers.__version__} does not know model_type {kind!r}{own}")

    def build() -> Any:
        settings = transformers.AutoConfig.for_model(**config)
        for name in config.get("architectures") or ():
            model_class = getattr(transformers, name, None)
            if model_class is not None:
                return model_class(settings)
        return transformers.AutoModel.from_config(settings)

    return build
