"""What the command line is pointed at: TARGET, `--batch`, `--targets` and `--loss`, each read with errors that help."""

from fanin.targets.batches import BatchSource, DataName, FileName, TensorSpec, parse_batch
from fanin.targets.models import Target, TargetError, load_target

__all__ = ["BatchSource", "DataName", "FileName", "Target", "TargetError", "TensorSpec", "load_target", "parse_batch"]
