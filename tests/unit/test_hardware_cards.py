"""Cards by name: published figures, shorthand, and what a wrong name is answered with."""

import re

import pytest

from kvtui.base.findings import UsageError
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


def test_a_card_of_one_size_by_its_name_and_size() -> None:
    assert [d.description for d in expand_cards("P100 16GB,3090 24 GB")] == ["P100", "RTX 3090"]


def test_a_machine_by_its_name() -> None:
    assert [d.name for d in expand_cards("HGX H100")] == [f"CUDA{i}" for i in range(8)]
    assert len(expand_cards("2xMI250X")) == 4  # each is two devices


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("3900", "the nearest is RTX 3090"),
        ("4060 Ti", "comes as RTX 4060 Ti 8GB, RTX 4060 Ti 16GB"),
        ("A100", "comes as A100 PCIe 40GB"),
        ("A100 80GB", "comes as A100 PCIe 80GB, A100 SXM 80GB"),
        ("P100 17GB", "no card is called"),
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


def test_every_card_says_where_its_figures_are_published_and_whether_they_were_compared() -> None:
    for card in all_cards():
        assert re.fullmatch(r"https://[a-z.]+/\S+", card.source), card.name
        assert re.fullmatch(r"(20\d\d-\d\d)?", card.checked), card.name
        assert bool(card.compared) == bool(card.checked), card.name
    known = {"gib", "gb_s", "bits", "gbps", "pcie", "compute", "tflops"}
    assert frozenset().union(*(c.compared for c in all_cards())) <= known


def test_each_size_has_a_page_of_its_own() -> None:
    both = [c for c in all_cards() if c.name.startswith("RTX 4060 Ti ")]
    assert [c.source.rpartition("/")[2] for c in both] == ["geforce-rtx-4060-ti-8-gb.c3890", "geforce-rtx-4060-ti-16-gb.c4155"]


def test_bandwidth_is_what_width_and_rate_give() -> None:
    """Makers round by up to 2.4 %. Cards whose rate was chosen to give the bandwidth prove nothing, and are few."""
    free = [card for card in all_cards() if not card.fitted]
    assert len(free) > 150
    for card in free:
        assert card.memory_bits * card.memory_gbps * 1e9 / 8 == pytest.approx(card.bandwidth, rel=0.025), card.name
        assert card.memory_bits % 32 == 0, card.name


def test_a_peak_is_more_than_any_program_was_seen_to_reach() -> None:
    """Of one card a measured family or a peak is known, never both mixed; peaks are of matrix units."""
    for card in all_cards():
        assert card.flops is None or card.peak_operations is None, card.name
        assert card.peak_operations is None or card.peak_operations > 19e12, card.name
    t4, p100 = (published(name, 16 * 2**30) for name in ("Tesla T4", "Tesla P100-PCIE-16GB"))
    assert t4 is not None
    assert p100 is not None
    assert (t4.peak_operations, p100.peak_operations) == (130e12, 19.1e12)


# A card of each line that is sold, in its forms.
_LINES = """\
2060 12GB, 2080 Ti, 3060, 3060 Ti, 3070 Ti Laptop, 3080 12GB, 3090 Ti, 4050 Laptop, 4060 Ti 16GB, 4070 Super, 4070 Ti
Super, 4080 Super, 4090 Laptop, 5050, 5060 Ti 16GB, 5070 Ti Laptop, 5090, 5090 Laptop, A2000 12GB, A6000, 2000 Ada, 6000
Ada, PRO 2000, PRO 4000 SFF, PRO 5000 72GB, PRO 6000, PRO 6000 Max-Q, P4, P40, P100, P100 SXM2, V100 SXM2 32GB, V100S,
T4, A2, A10, A10G, A16, A30, A40, A100 SXM 80GB, L4, L20, L40S, H100 NVL, H200, H200 NVL, B200, B300, MI50 32GB, MI60,
MI100, MI210, MI250 GCD, MI300X, MI325X, MI355X, RX 6400, RX 6600, RX 6950 XT, RX 7600 XT, RX 7900 XTX, W7900, RX 9060,
RX 9060 XT 16GB, RX 9070 XT, R9700, Arc A770, Arc A770 8GB, Arc B580, B50, B60, B70, Strix Halo 128GB, Spark, M1 8GB, M1
Ultra 128GB, M2 Max 96GB, M3 Ultra 512GB, M4 Pro 64GB, M5 32GB, M5 Pro 64GB, M5 Max 36GB, M5 Max 128GB"""


@pytest.mark.parametrize("name", [name.strip() for name in _LINES.split(",")])
def test_each_line_of_cards_can_be_asked_for(name: str) -> None:
    assert len(expand_cards(name)) == 1


def test_the_two_sizes_of_one_card_have_their_own_bandwidth() -> None:
    both = [published(name, gib * 2**30) for name, gib in (("PRO W7800", 32), ("PRO W7800 48GB", 48))]
    assert [(c.total_bytes // 2**30, c.bandwidth) for c in both if c] == [(32, 576e9), (48, 864e9)]
