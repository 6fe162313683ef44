"""Where runs are carried out: here, in processes of this machine, on a Ray cluster, as Slurm jobs."""

from fanin.lab.executors.payload import payload_of
from fanin.lab.executors.processes import Processes
from fanin.lab.executors.serial import Serial

# The last import on purpose: `serial` is a function of `fanin.compare` here, and no longer the module of that name.
from fanin.lab.executors.comparison import Job, Task, pool, serial  # isort: skip
from fanin.lab.executors.named import EXECUTORS, make_executor  # isort: skip

__all__ = ["EXECUTORS", "Job", "Processes", "Serial", "Task", "make_executor", "payload_of", "pool", "serial"]
