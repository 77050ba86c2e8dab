"""The executor on a Ray cluster of two nodes: the same results, wherever and however often a batch is worked on."""

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from components.core.errors import BadData, BadSettings, TryAgain
from components.core.kept import KeptFiles
from components.data.settings import Executor
from components.data.tables import parallel
from components.data.tables.parallel import Batches
from components.data.tables.records import SCHEMAS
from components.data.tables.shards import ShardWriter, emptied
from components.stages.prepare import prepare
from tests.components.support.preparing import SETTINGS

ray: Any = pytest.importorskip("ray", reason="an extra of 200 MB: pip install ray")
pytestmark = pytest.mark.slow("two nodes of Ray take 12 s to start")
HOSTS = ("127.0.0.2", "127.0.0.3")  # Ray takes 127.0.0.1 for a name of this machine's address on the network


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    resources = {"num_cpus": 1, "object_store_memory": 100_000_000}
    found = Cluster(
        initialize_head=True, head_node_args={"node_ip_address": HOSTS[0], "include_dashboard": False, **resources}
    )
    found.add_node(node_ip_address=HOSTS[1], **resources)
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # workers cannot import tests
    yield found
    found.shutdown()


def on(cluster: Any) -> parallel.Ordered:
    return parallel.executor(Executor(kind="ray", address=cluster.address))


def outs(folder: Path, name: str, ordered: parallel.Ordered) -> dict[str, bytes]:
    """All files that `prepare` makes of the raw tables of a folder."""
    out = folder / name
    with emptied(out / "scratch") as scratch:
        batches = Batches(KeptFiles(out / "kept"), ordered)
        prepare(folder / "raw", out / "prepared", out / "rejected", SETTINGS, scratch, batches)
    return {
        str(path.relative_to(out)): path.read_bytes()
        for part in ("prepared", "rejected")
        for path in sorted((out / part).rglob("*"))
        if path.is_file()
    }


def test_prepare_makes_the_same_bytes_on_both(cluster: Any, folder: Path) -> None:
    for table, schema in SCHEMAS.items():
        with ShardWriter(folder / "raw" / table, schema) as writer:
            for number in range(10_000 if table == "documents" else 0):
                text = f"Document {number} is about the number {number * number}. Ask jane{number % 7}@example.org."
                row = {"text": text, "language": "en", "license": "MIT", "source": "s", "origin": f"file:#{number}"}
                writer.write({"id": f"{number:064d}", **row})
    here = outs(folder, "here", parallel.ordered)
    assert outs(folder, "there", on(cluster)) == here
    assert len(here) >= 5


def where(number: int) -> tuple[int, str]:
    time.sleep(0.2)
    if number == 50:
        raise BadData("a.jsonl, row 3: no text")
    return number, ray.get_runtime_context().get_node_id()


def test_both_nodes_work_and_results_come_in_order(cluster: Any) -> None:
    found = list(on(cluster)(where, list(range(8))))
    assert [number for number, _ in found] == list(range(8))
    assert len({node for _, node in found}) == 2


def test_an_error_of_the_function_comes_as_it_was_raised(cluster: Any) -> None:
    with pytest.raises(BadData, match=r"^a.jsonl, row 3: no text$"):
        list(on(cluster)(where, [50, 1, 2, 3, 4]))


def test_what_a_lost_node_was_at_is_done_again(cluster: Any) -> None:
    lost = cluster.add_node(node_ip_address="127.0.0.4", num_cpus=2, object_store_memory=100_000_000)
    timer = threading.Timer(1.5, lambda: cluster.remove_node(lost, allow_graceful=False))
    timer.start()
    assert [number for number, _ in on(cluster)(where, list(range(30)))] == list(range(30))
    timer.join()


@pytest.mark.parametrize(
    ("address", "kind", "line"),
    [
        (
            "127.0.0.1:1",
            TryAgain,
            "the Ray cluster at 127.0.0.1:1 does not answer: .*Connection refused: is it started",
        ),
        ("no-such-host.invalid:6379", TryAgain, "no-such-host.invalid:6379 does not answer"),
        ("host0", BadSettings, "executor.address is host0: write it as HOST:PORT"),
    ],
)
def test_an_address_without_a_cluster_is_told(address: str, kind: type[Exception], line: str) -> None:
    with pytest.raises(kind, match=line):
        list(parallel.executor(Executor(kind="ray", address=address))(where, list(range(8))))
