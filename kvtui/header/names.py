"""ggml and GGUF constants from the `gguf` package, without the 0.15 s that importing all of it costs.

`import gguf` brings numpy, its reader and its vocabularies; only `gguf/constants.py` is needed here,
so that file alone is loaded."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType


@cache
def constants() -> ModuleType:
    """The module `gguf.constants`."""
    if "gguf.constants" in sys.modules:
        return sys.modules["gguf.constants"]
    package = importlib.util.find_spec("gguf")
    assert package is not None
    assert package.submodule_search_locations
    path = Path(package.submodule_search_locations[0]) / "constants.py"
    spec = importlib.util.spec_from_file_location("kvtui._gguf_constants", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@cache
def block_sizes() -> dict[int, tuple[str, int, int]]:
    """ggml type number -> (name, values a block, bytes a block)."""
    module = constants()
    return {int(t): (t.name.lower(), block, size) for t, (block, size) in module.GGML_QUANT_SIZES.items()}
