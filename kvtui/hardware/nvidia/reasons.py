"""NVML's errors in plain words."""

from typing import Any

NO_GPU = "no NVIDIA GPU here"
NO_FIGURES = "the driver tells no memory figures"

# By nvmlReturn_t (nvml.h).
_WORDS = {
    3: NO_FIGURES,  # NOT_SUPPORTED
    4: "the driver refuses this user: it may not open the device",  # NO_PERMISSION
    9: "the NVIDIA driver is not loaded",  # DRIVER_NOT_LOADED
    12: NO_GPU,  # LIBRARY_NOT_FOUND
    13: NO_FIGURES,  # FUNCTION_NOT_FOUND
    15: "lost: it fell off the bus; a restart brings it back",  # GPU_IS_LOST
    16: "needs a reset before it can be used",  # RESET_REQUIRED
    18: "the NVIDIA library and the loaded kernel module are of different versions; restart, or load the module again",
}


def in_words(error: Any) -> str:
    """A sentence for an NVMLError, or for anything else that went wrong with the driver."""
    words = _WORDS.get(getattr(error, "value", None) or 0)
    return words or f"the NVIDIA driver does not answer: {error}"
