"""The machine's metrics, under the names that MLflow gives them."""

from pathlib import Path

import pytest
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor
from mlflow.system_metrics.metrics.disk_monitor import DiskMonitor
from mlflow.system_metrics.metrics.network_monitor import NetworkMonitor

from components.tracking.system import Machine, gpus

CARD = "0, 1024, 81559, 97, 345.10, 700.00\n1, 0, 81559, [N/A], 70.00, 700.00"


def test_the_names_are_those_of_mlflow() -> None:
    expected = set()
    for monitor in (CPUMonitor(), DiskMonitor(), NetworkMonitor()):
        monitor.collect_metrics()
        expected |= {f"system/{name}" for name in monitor.aggregate_metrics()}
    metrics = Machine().metrics()
    assert expected <= set(metrics)
    assert 0 < metrics["system/system_memory_usage_percentage"] < 100


def test_gpus_as_nvidia_smi_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\necho '{CARD}'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    metrics = dict(gpus())
    assert metrics["gpu_0_utilization_percentage"] == 97
    assert metrics["gpu_0_power_usage_watts"] == 345.1
    assert metrics["gpu_0_memory_usage_megabytes"] == pytest.approx(1073.7, abs=0.1)
    assert str(metrics["gpu_1_utilization_percentage"]) == "nan"


def test_without_nvidia_smi_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert list(gpus()) == []
