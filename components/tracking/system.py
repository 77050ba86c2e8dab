"""The load of the machine during training, by the names of MLflow's system metrics, so that its page shows them."""

import csv
import math
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import psutil

MB = 1e6

_QUERY = "index,memory.used,memory.total,utilization.gpu,power.draw,power.limit"


class Machine:
    """The metrics of this machine; network traffic is counted from the creation of this object."""

    def __init__(self) -> None:
        self._before = psutil.net_io_counters()
        psutil.cpu_percent()  # since the previous call

    def metrics(self) -> dict[str, float]:
        """CPU since the last call, memory, disk, network, and each GPU."""
        memory, disk, network = psutil.virtual_memory(), psutil.disk_usage("."), psutil.net_io_counters()
        metrics = {
            "cpu_utilization_percentage": psutil.cpu_percent(),
            "system_memory_usage_megabytes": memory.used / MB,
            "system_memory_usage_percentage": 100 * memory.used / memory.total,
            "disk_usage_percentage": disk.percent,
            "disk_usage_megabytes": disk.used / MB,
            "disk_available_megabytes": disk.free / MB,
            "network_receive_megabytes": (network.bytes_recv - self._before.bytes_recv) / MB,
            "network_transmit_megabytes": (network.bytes_sent - self._before.bytes_sent) / MB,
            **dict(gpus()),
        }
        return {f"system/{name}": round(value, 3) for name, value in metrics.items()}


def gpus() -> Iterator[tuple[str, float]]:
    """Memory, use and power of each NVIDIA GPU, as reported by `nvidia-smi`; nothing without it."""
    if shutil.which("nvidia-smi") is None:
        return
    command = ["nvidia-smi", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"]
    with suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True).stdout
        for index, *values in csv.reader(said.splitlines(), skipinitialspace=True):
            used, total, use, power, limit = map(_number, values)
            yield f"gpu_{index}_memory_usage_percentage", 100 * used / total
            yield f"gpu_{index}_memory_usage_megabytes", used * 2**20 / MB
            yield f"gpu_{index}_utilization_percentage", use
            yield f"gpu_{index}_power_usage_watts", power
            yield f"gpu_{index}_power_usage_percentage", 100 * power / limit


def _number(text: str) -> float:
    """NaN where the driver reports [N/A]."""
    try:
        return float(text)
    except ValueError:
        return math.nan
