"""What a llama-server started from here inherits, and the config files it reads by itself."""

import configparser
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# common/arg.cpp: every option may come from LLAMA_ARG_*, older builds' log options from LLAMA_LOG_*. They are read
# before the command line and -ot is first-match, so an inherited one would beat the plan. A key is given by file.
DROPPED_PREFIXES = ("LLAMA_ARG_", "LLAMA_LOG_")
DROPPED_NAMES = ("LLAMA_API_KEY",)

LAUNCH_ENVIRONMENT = {
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",  # as NVML counts; CUDA's own order is fastest first
    "GGML_NO_BACKTRACE": "1",  # ggml.c, ggml_print_backtrace: a crash would wait seconds for a debugger
}

CONFIG_LIMIT_BYTES = 2**20


def library_folder(binary: Path) -> Path | None:
    """The folder of the binary if it ships its shared libraries there."""
    folder = binary.resolve().parent
    return folder if any(folder.glob("lib*.so*")) or any(folder.glob("lib*.dylib")) else None


def child_environment(
    binary: Path, extra: Mapping[str, str] | None = None, inherited: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Environment of a llama-server or its dry run; `extra` (a plan's `env`) wins."""
    source = os.environ if inherited is None else inherited
    env = {k: v for k, v in source.items() if not k.startswith(DROPPED_PREFIXES) and k not in DROPPED_NAMES}
    env |= LAUNCH_ENVIRONMENT
    folder = library_folder(binary)
    if folder is not None:
        name = "DYLD_LIBRARY_PATH" if sys.platform == "darwin" else "LD_LIBRARY_PATH"
        env[name] = os.pathsep.join([str(folder), *filter(None, [env.get(name)])])
    return env | dict(extra or {})


@dataclass(frozen=True)
class ConfigFile:
    """An ini file that llama-server reads before its command line; `settings` are (key, value) as written."""

    path: Path
    settings: tuple[tuple[str, str], ...]
    problem: str | None = None


def config_paths(inherited: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """Where b11434 looks, a later file overriding an earlier (common/arg.cpp, common_params_apply_system_config)."""
    env = os.environ if inherited is None else inherited
    home = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME") or Path.home()) / ".config")
    return Path("/etc/llama.cpp/config.ini"), Path(home) / "llama.cpp" / "config.ini"


def config_files(inherited: Mapping[str, str] | None = None) -> tuple[ConfigFile, ...]:
    """The config files that are there, with what they set (all sections: which one counts is the server's affair)."""
    return tuple(_read_config(path) for path in config_paths(inherited) if path.is_file())


def _read_config(path: Path) -> ConfigFile:
    parser = configparser.ConfigParser(interpolation=None, strict=False, default_section="", allow_no_value=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # keys as written
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            parser.read_string("[*]\n" + file.read(CONFIG_LIMIT_BYTES))
    except AttributeError:  # CPython's parser goes on with a key that has no value (cpython#88750)
        return ConfigFile(path, (), f"{path} cannot be read: a line that goes on follows a key without a value")
    except (OSError, configparser.Error) as error:
        return ConfigFile(path, (), f"{path} cannot be read: {str(error).splitlines()[0]}")
    settings = tuple((key, value or "") for section in parser.sections() for key, value in parser.items(section))
    return ConfigFile(path, settings)
