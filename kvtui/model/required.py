"""Keys without which llama.cpp b11434 refuses a header: kvtui/data/required-keys.txt, read from load_hparams and every
load_arch_hparams of its source."""

from functools import cache

from kvtui.base.data import data_file

_ALL = "*"  # the line of keys that every header has
_USUAL = ("%s.attention.layer_norm_rms_epsilon",)  # of an architecture that only another build has


@cache
def _table() -> dict[str, tuple[str, ...]]:
    text = data_file("required-keys.txt").read_text()
    lines = [line.split() for line in text.splitlines() if not line.startswith("#")]
    return {name: tuple(keys) for name, *keys in lines}


def required_keys(architecture: str) -> tuple[str, ...]:
    """Keys that a header of `architecture` must have, in full. Those that depend on another key are not among them."""
    table = _table()
    return tuple([key.replace("%s", architecture) for key in (*table[_ALL], *table.get(architecture, _USUAL))])
