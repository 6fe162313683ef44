"""Where runs are carried out: here, in processes of this machine, on a Ray cluster, as Slurm jobs."""

from fanin.lab.executors.named import EXECUTORS, make_executor
from fanin.lab.executors.payload import payload_of
from fanin.lab.executors.processes import Processes
from fanin.lab.executors.serial import Serial

__all__ = ["EXECUTORS", "Processes", "Serial", "make_executor", "payload_of"]
