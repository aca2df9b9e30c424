"""Cards by name: published figures, shorthand, and what a wrong name is answered with."""

import tomllib
from pathlib import Path

import pytest

from kvtui.base.findings import UsageError
from kvtui.hardware import cards
from kvtui.hardware.cards import all_cards, expand_cards, published
from kvtui.hardware.simulated import parse_devices


def test_two_cards_and_another_are_counted_on() -> None:
    devices = parse_devices(("2x3090,A4000",))
    assert [(d.name, d.description, d.total_bytes // 2**30) for d in devices] == [
        ("CUDA0", "RTX 3090", 24),
        ("CUDA1", "RTX 3090", 24),
        ("CUDA2", "RTX A4000", 16),
    ]
    first = devices[0]
    assert (first.bandwidth, first.bandwidth_source, first.compute_capability) == (936e9, "published", 86)
    assert first.link == pytest.approx(16 * 1.969e9)  # PCIe 4.0 x16
    assert all(d.simulated for d in devices)


def test_each_back_end_counts_for_itself_after_the_devices_before() -> None:
    devices = parse_devices(("CUDA0=10GiB", "rtx 4090", "RPC0[10.0.0.2:50052]=8GiB", "7900xtx", "geforce-rtx-3060-ti"))
    assert [d.name for d in devices] == ["CUDA0", "CUDA1", "RPC0", "ROCm0", "CUDA2"]


def test_an_amd_target_is_a_number_in_hexadecimal() -> None:
    assert [d.compute_capability for d in expand_cards("7900 XTX,MI210")] == [0x1100, 0x90A]


def test_a_machine_by_its_name() -> None:
    assert [d.name for d in expand_cards("HGX H100")] == [f"CUDA{i}" for i in range(8)]
    assert len(expand_cards("2xMI250X")) == 4  # each is two devices


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3900", "the nearest is RTX 3090"),
        ("4060 Ti", "comes as RTX 4060 Ti 8GB, RTX 4060 Ti 16GB"),
        ("A100", "comes as A100 PCIe 40GB"),
        ("0x3090", "1 to 16"),
        ("17x3090", "1 to 16"),
        ("9x3090,8xA4000", "17 devices"),
        ("3090,", "no card is called ''"),
        ("CUDA0", "NAME=FREE"),
    ],
)
def test_a_wrong_name_is_one_line(text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_devices((text,))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_shared_memory_is_one_pool_and_metal_takes_a_part_of_it() -> None:
    (spark,) = expand_cards("Spark")
    assert (spark.shared, spark.link, spark.compute_capability) == (True, None, 121)
    (mac,) = expand_cards("M4 Max 128GB")
    assert (mac.name, mac.shared, mac.total_bytes // 2**30) == ("MTL0", True, 96)


@pytest.mark.parametrize(
    ("driver_name", "total_mib", "gb_s"),
    [
        ("NVIDIA GeForce RTX 3090", 24576, 936),
        ("NVIDIA GeForce RTX 3080", 12288, 912),  # two cards of that name
        ("NVIDIA GeForce RTX 3080", 10240, 760),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", 16376, 576),
        ("NVIDIA A100-SXM4-80GB", 81920, 2039),
        ("NVIDIA H100 80GB HBM3", 81559, 3350),
        ("NVIDIA RTX 6000 Ada Generation", 46068, 960),  # with ECC
        ("Tesla P40", 23040, 346),
        ("NVIDIA GB10", None, 273),
    ],
)
def test_a_found_card_is_known_by_the_name_its_driver_has(driver_name: str, total_mib: int | None, gb_s: float) -> None:
    card = published(driver_name, total_mib * 2**20 if total_mib else None)
    assert card is not None
    assert card.bandwidth == gb_s * 1e9


def test_a_doubt_is_no_figure() -> None:
    assert published("NVIDIA GeForce RTX 3080") is None
    assert published("NVIDIA GeForce RTX 3090", 48 * 2**30) is None  # somebody soldered
    assert published("llvmpipe") is None


def test_every_card_has_a_source_and_a_name_of_its_own_that_people_can_type() -> None:
    for card in all_cards():
        assert expand_cards(card.name)[0].description == card.name
        assert card.source
        assert (card.compute_capability is not None) == (card.backend in ("CUDA", "ROCm"))
        assert (card.gfx is not None) == (card.backend == "ROCm")
        assert (card.link is None) == card.shared


def test_every_group_says_where_its_figures_are_from_and_which_were_compared() -> None:
    groups = tomllib.loads((Path(cards.__file__).parent / "cards.toml").read_text())
    groups.pop("machines")
    fields = {"gib", "gb_s", "pcie", "compute", "gfx"}
    for name, group in groups.items():
        assert group["source"], name
        assert group["checked"] == "nothing" or fields & set(group["checked"].split()), name


def test_the_two_sizes_of_one_card_have_their_own_bandwidth() -> None:
    both = [published(name, gib * 2**30) for name, gib in (("PRO W7800", 32), ("PRO W7800 48GB", 48))]
    assert [(c.total_bytes // 2**30, c.bandwidth) for c in both if c] == [(32, 576e9), (48, 864e9)]
