"""What Voxtral would run on here, without loading it: for `voxrtc doctor`."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import torch

from voxrtc.errors import ModelsError
from voxrtc.models.gpu import attention
from voxrtc.models.voxtral.build import Options
from voxrtc.settings import Settings

CUDA_BYTES = {"none": 2.0, "int8": 1.2, "int4": 0.75}
"""Of a parameter, with what stays in bfloat16 (embeddings, and the scales of the rest)."""
MINI_PARAMETERS = 4.68e9


def inspect(settings: Settings) -> Iterator[str]:
    """Lines on the device, its memory, and what is chosen. Raises ModelsError where it cannot work."""
    options = Options.of(settings)
    if options.quantize != "none" and importlib.util.find_spec("torchao") is None:
        raise ModelsError(f'models.quantize = "{options.quantize}" needs torchao, which is not installed')
    if options.device.type == "cuda":
        free, total = torch.cuda.mem_get_info(options.device)
        name = torch.cuda.get_device_name(options.device)
        yield f"{name}: {free / 1e9:.1f} GB of {total / 1e9:.1f} GB of memory are free"
        wanted = MINI_PARAMETERS * CUDA_BYTES[options.quantize]
        room = min(free, options.memory_gb * 1e9) if options.memory_gb else free
        if "Mini" in settings.models.voxtral and room < wanted:
            raise ModelsError(
                f"Voxtral-Mini takes about {wanted / 1e9:.1f} GB with models.quantize = {options.quantize!r}, and "
                f'{room / 1e9:.1f} GB may be used; set models.quantize = "int8" or "int4", or end what else uses it'
            )
    chosen = attention.choose(options.attention, options.device, options.page_size)
    bits = str(options.dtype).removeprefix("torch.") if options.quantize == "none" else options.quantize
    yield f"Voxtral on {options.device.type}: weights in {bits}, attention by {chosen.name}"
