"""RAM as files of the kernel tell it: trees of such files, in place of the root."""

from pathlib import Path

import pytest
from trees import tree

from kvtui.hardware.device import NumaNode
from kvtui.hardware.numa import Swap, numa_nodes, swap
from kvtui.hardware.ram import cgroup_memory, host_memory

GIB = 2**30
MEMINFO = """MemTotal:       67108864 kB
MemFree:         1048576 kB
MemAvailable:   33554432 kB
SwapTotal:       8388608 kB
SwapFree:        4194304 kB
"""


def v2(folder: str, limit: int | str, used: int, cached: int) -> dict[str, str]:
    at = f"sys/fs/cgroup/{folder}"
    stat = f"anon {used - cached}\nfile {cached}\ninactive_file {cached // 2}\nactive_file {cached - cached // 2}\n"
    return {f"{at}/memory.max": f"{limit}\n", f"{at}/memory.current": f"{used}\n", f"{at}/memory.stat": stat}


def test_page_cache_is_not_used(tmp_path: Path) -> None:
    root = tree(tmp_path, {"proc/self/cgroup": "0::/box\n", "proc/meminfo": MEMINFO, **v2("box", 8 * GIB, 7 * GIB, 6 * GIB)})
    assert cgroup_memory(root) == (8 * GIB, GIB)
    ram = host_memory(root)
    assert (ram.free_bytes, ram.total_bytes) == (7 * GIB, 8 * GIB)


def test_cgroup_v1_counts_all_below(tmp_path: Path) -> None:
    at = "sys/fs/cgroup/memory/docker/abc"
    root = tree(
        tmp_path,
        {
            "proc/self/cgroup": "12:cpu,cpuacct:/docker/abc\n7:memory:/docker/abc\n0::/\n",
            "proc/meminfo": MEMINFO,
            f"{at}/memory.limit_in_bytes": str(8 * GIB),
            f"{at}/memory.usage_in_bytes": str(7 * GIB),
            f"{at}/memory.stat": f"inactive_file 1\nactive_file 1\ntotal_inactive_file {4 * GIB}\ntotal_active_file {2 * GIB}\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        },
    )
    assert host_memory(root).free_bytes == 7 * GIB


def test_a_path_that_this_container_does_not_see_falls_back_to_what_it_sees(tmp_path: Path) -> None:
    root = tree(tmp_path, {"proc/self/cgroup": "0::/kubepods/pod1/c1\n", "proc/meminfo": MEMINFO, **v2(".", 4 * GIB, GIB, 0)})
    assert cgroup_memory(root) == (4 * GIB, GIB)


def test_the_tightest_of_nested_cgroups_counts(tmp_path: Path) -> None:
    files = {**v2("a", 16 * GIB, 14 * GIB, 0), **v2("a/b", 8 * GIB, 2 * GIB, 0), **v2("a/b/c", "max", GIB, 0)}
    root = tree(tmp_path, {"proc/self/cgroup": "0::/a/b/c\n", "proc/meminfo": MEMINFO, **files})
    assert cgroup_memory(root) == (16 * GIB, 14 * GIB)  # 2 GiB left in a, 6 in a/b


@pytest.mark.parametrize("files", [{}, {"proc/self/cgroup": "0::/\n"}, {"proc/self/cgroup": "0::/\n", **v2(".", "max", GIB, 0)}])
def test_no_limit_is_the_machine_itself(tmp_path: Path, files: dict[str, str]) -> None:
    root = tree(tmp_path, {"proc/meminfo": MEMINFO, **files})
    assert cgroup_memory(root) is None
    ram = host_memory(root)
    assert (ram.free_bytes, ram.total_bytes) == (32 * GIB, 64 * GIB)


def node(number: int, total_gib: int, free_gib: int, cached_gib: int, cpus: str) -> dict[str, str]:
    at = f"sys/devices/system/node/node{number}"
    kib = 2**20
    lines = [("MemTotal", total_gib), ("MemFree", free_gib), ("Active(file)", cached_gib), ("Inactive(file)", 0)]
    text = "".join(f"Node {number} {name}:  {n * kib} kB\n" for name, n in lines)
    return {f"{at}/meminfo": text, f"{at}/cpulist": f"{cpus}\n"}


def test_numa_nodes_by_number_their_file_cache_free(tmp_path: Path) -> None:
    root = tree(tmp_path, {**node(10, 96, 96, 0, ""), **node(1, 64, 10, 0, "16-31"), **node(0, 64, 20, 30, "0-15")})
    nodes = numa_nodes(root)
    assert nodes == (
        NumaNode(0, 50 * GIB, 64 * GIB, True),
        NumaNode(1, 10 * GIB, 64 * GIB, True),
        NumaNode(10, 96 * GIB, 96 * GIB, False),  # a GPU's memory that the CPU sees
    )
    assert numa_nodes(tmp_path / "nowhere") == ()


def test_file_cache_is_told_within_what_is_free(tmp_path: Path) -> None:
    cached = "Active(file):   2097152 kB\nInactive(file): 1048576 kB\n"
    assert host_memory(tree(tmp_path, {"proc/meminfo": MEMINFO + cached})).file_cache_bytes == 3 * GIB
    box = {"proc/self/cgroup": "0::/box\n", **v2("box", 8 * GIB, 7 * GIB, 0)}
    assert host_memory(tree(tmp_path, box)).file_cache_bytes == GIB


def test_swap(tmp_path: Path) -> None:
    assert swap(tree(tmp_path, {"proc/meminfo": MEMINFO})) == Swap(4 * GIB, 8 * GIB)
    assert swap(tmp_path / "nowhere") == Swap(0, 0)
