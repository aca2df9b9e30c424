"""Sizes and described devices, as people write them."""

import pytest

from kvtui.base.findings import UsageError
from kvtui.base.sizes import parse_bandwidth, parse_size
from kvtui.hardware.buffers import buffer_names
from kvtui.hardware.simulated import check_margins, parse_device, parse_devices, parse_margins, parse_ram
from kvtui.tasks.options import cache_type, tokens


def test_binary_and_decimal_units() -> None:
    assert parse_size("24GiB") == 24 * 2**30
    assert parse_size("24GB") == 24_000_000_000
    assert parse_size("22.8 GiB") == round(22.8 * 2**30)
    assert parse_size("1024") == 1024
    assert parse_bandwidth("936GB/s") == 936e9


def test_a_device_in_the_contracts_form() -> None:
    device = parse_device("CUDA0=22.8GiB/24GiB@936GB/s,link=25GB/s,shared")
    assert (device.name, device.free_bytes, device.total_bytes) == ("CUDA0", round(22.8 * 2**30), 24 * 2**30)
    assert (device.bandwidth, device.link, device.shared, device.backend) == (936e9, 25e9, True, "CUDA")
    remote = parse_device("RPC0[10.0.0.2:50052]=8GiB")
    assert (remote.name, remote.endpoint, remote.total_bytes) == ("RPC0", "10.0.0.2:50052", 8 * 2**30)
    pool = parse_device("Vulkan0=47865MiB/37060MiB,shared")  # free as an Arc B390 prints it: the limit, above its total
    assert (pool.free_bytes, pool.total_bytes) == (47865 * 2**20, 37060 * 2**20)
    assert parse_ram("64GiB@60GB/s").bandwidth == 60e9
    three = parse_devices(("RPC0[a:1]=8GiB", "RPC1[b:1]=8GiB", "RPC2[a:1]=8GiB"))
    assert list(buffer_names(three)) == ["RPC0[a:1]", "RPC0[b:1]", "RPC1[a:1]"]
    pool = parse_device("Vulkan0=125693MiB/122880MiB")  # a driver that counts swap: free is what can be had
    assert (pool.free_bytes, pool.total_bytes) == (125693 * 2**20, 122880 * 2**20)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("CUDA0", "write it as NAME=FREE"),
        ("CUDA0=lots", "'lots' is not a size"),
        ("CUDA0=0", "CUDA0=0: a device of 0 bytes can hold nothing"),
        ("CUDA0=24GiB@fast", "not a bandwidth"),
        ("CUDA0=24GiB,fast", "none of link="),
        ("CUDA0=24GiB@0GB/s", "more than 0"),
        ("CUDA0=24GiB,link=0", "CUDA0=24GiB,link=0: a link's bandwidth is more than 0"),
        ("CUDA0=24GiB,link=fast", "CUDA0=24GiB,link=fast: 'fast' is not a bandwidth"),
    ],
)
def test_bad_devices_say_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_device(text)


def test_devices_and_margins() -> None:
    with pytest.raises(UsageError, match="given twice"):
        parse_devices(("CUDA0=1GiB", "CUDA0=2GiB"))
    assert parse_margins("1GiB,2GiB", 2, 0) == (2**30, 2**31)
    assert parse_margins("1GiB", 3, 0) == (2**30,) * 3
    with pytest.raises(UsageError, match="2 margins for 3 devices"):
        parse_margins("1GiB,2GiB", 3, 0)
    two = parse_devices(("CUDA0=20GiB/24GiB", "CUDA1=16GiB"))
    check_margins("20GiB,16GiB", (20 * 2**30, 16 * 2**30), two)
    with pytest.raises(UsageError, match=r"--margin 20GiB: 20,480 MiB are more than CUDA1 has \(16,384 MiB\)"):
        check_margins("20GiB", (20 * 2**30,) * 2, two)


def test_tokens_and_types() -> None:
    assert [tokens(t) for t in ("132000", "132k", "1M", "max", "0")] == [132000, 132000, 1_000_000, 0, 0]
    for bad in ("-5", "many", "99999999999"):
        with pytest.raises(UsageError):
            tokens(bad)
    with pytest.raises(UsageError, match="did you mean q8_0"):
        cache_type("-ctk", "Q8_0")
