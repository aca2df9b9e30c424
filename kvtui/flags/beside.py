"""What llama-server loads beside the model, as its flags say: a projector, a draft model, types of the context that drafts."""

from dataclasses import dataclass

from kvtui.flags.overrides import Override

ALL_LAYERS = 2**31 - 1  # as many as an int32 holds: every block, however many there are


@dataclass(frozen=True)
class BesideFlags:
    """Defaults are the server's own (common/common.h, common_params and common_params_speculative_draft)."""

    mmproj: str | None = None  # --mmproj: a projector's file
    mmproj_offload: bool = True
    mmproj_device: str | None = None  # -mmdev; "none": RAM; None: the first device of -dev, else the first GPU
    image_min_tokens: int = 0  # --image-min-tokens; 0 and less: the projector's own
    image_max_tokens: int = 0  # --image-max-tokens: of one image, which the projector warms up with
    draft: str | None = None  # -md: a draft model's file
    draft_layers: int = ALL_LAYERS  # -ngld
    draft_type_k: str = "f16"  # -ctkd; of an MTP context too
    draft_type_v: str = "f16"
    draft_devices: tuple[str, ...] | None = None  # -devd, by name; () is `none`; None: as -dev
    draft_overrides: tuple[Override, ...] = ()  # -otd, -cmoed, -ncmoed

    @property
    def mmproj_name(self) -> str | None:
        """The device that a projector was given, "none" for RAM; None where the server chooses."""
        return self.mmproj_device if self.mmproj_offload else "none"


def beside_argv(flags: BesideFlags) -> tuple[str, ...]:
    """The flags that say so; what is a default is left out."""
    plain = BesideFlags()
    found: list[str] = []
    if flags.mmproj is not None:
        found += ["--mmproj", flags.mmproj]
        if flags.mmproj_device is not None:
            found += ["-mmdev", flags.mmproj_device]
        if not flags.mmproj_offload:
            found.append("--no-mmproj-offload")
        for flag, tokens in (("--image-min-tokens", flags.image_min_tokens), ("--image-max-tokens", flags.image_max_tokens)):
            found += [flag, str(tokens)] if tokens > 0 else []
    if flags.draft is not None:
        found += ["-md", flags.draft]
        if flags.draft_layers != plain.draft_layers:
            found += ["-ngld", str(flags.draft_layers)]
        if flags.draft_devices is not None:
            found += ["-devd", ",".join(flags.draft_devices) or "none"]
        if flags.draft_overrides:
            found += ["-otd", ",".join(f"{o.pattern}={o.buffer}" for o in flags.draft_overrides)]
    for flag, value, default in (
        ("-ctkd", flags.draft_type_k, plain.draft_type_k),
        ("-ctvd", flags.draft_type_v, plain.draft_type_v),
    ):
        found += [flag, value] if value != default else []
    return tuple(found)
