"""What a GPU can carry, calculated from its bandwidth and its arithmetic: docs/capacity.md is printed by this module.

``page()`` is the whole page, for ``voxrtc bench voxtral --capacity`` and ``python -m voxrtc.bench.voxtral.capacity``.
A part of the bandwidth and of the arithmetic is lost in practice. How much is taken from what was measured on an H100
(MEASURED), and assumed to be the same share on another GPU. Nothing here runs anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voxrtc.bench.voxtral import together
from voxrtc.bench.voxtral.floors import Floor, Speeds
from voxrtc.bench.voxtral.shape import SCALE_BYTES, Shape

BF16 = 2.0
"""Bytes."""
QUANTIZE = ("none", "int8", "int4")
CALLERS = (1, 8, 32)
CONTEXT = 1_000
"""Tokens that each caller's sequence holds when a step is timed: two turns of speech and their answers."""
PROMPT = 405
"""Tokens of one turn: 375 of audio, 30 of text and layout."""
LENGTHS = {1_000: "two turns", 2_300: "five turns, the memory's default", 4_096: "`models.context_tokens`' default"}
FLUENT = 25.0
"""Tokens a second below which an answer does not keep up with the voice that reads it."""
RESERVED = {"CUDA's context, graphs and working memory": 2.0e9, "whisper-large-v3-turbo in float16": 1.6e9}
"""Bytes that are not there for conversations, besides the weights and a voice (together.py)."""

MINI = Shape(
    mels=128,
    width=1_280,
    encoder_layers=32,
    encoder_ffn=5_120,
    positions=1_500,
    hidden=3_072,
    layers=30,
    heads=32,
    kv_heads=8,
    head_dim=128,
    ffn=8_192,
    vocabulary=131_072,
)
"""Voxtral-Mini-3B-2507."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """``bandwidth`` bytes a second, ``flops`` of dense bf16 with float32 sums, ``memory`` bytes that a program sees."""

    name: str
    bandwidth: float
    flops: float
    memory: float


H100 = Gpu("H100 SXM", 3.35e12, 989e12, 85.0e9)
"""NVIDIA H100 datasheet: 3.35 TB/s, 989 TFLOP/s without sparsity, 80 GB."""
A10G = Gpu("A10G", 600e9, 70e12, 23.6e9)
"""NVIDIA A10G datasheet (as AWS publishes it for g5): 600 GB/s, 70 TFLOP/s without sparsity, 24 GB: a program sees
22.0 GiB of them."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one H100 showed at full shape, random weights, bf16, in milliseconds, decoding at CONTEXT tokens."""

    encode: float = 6.2
    """Encoder and projector, compiled, in a CUDA graph."""
    prefill: float = 12.8
    """PROMPT tokens, stock modules in a CUDA graph; ``prefill_short``: 64 tokens."""
    prefill_short: float = 9.5
    linears: float = 3.4
    """Of a decode step for one caller: all linear maps alone, as products with a vector."""
    attention: tuple[float, float, float] = (0.24, 0.57, 1.73)
    """The attention kernel alone, for CALLERS."""
    decode: tuple[float, float, float] = (3.9, 4.3, 5.6)
    """The whole step, for CALLERS."""


MEASURED = Measured()
SHORT = 64
"""Tokens of the short prompt in Measured."""


@dataclass(frozen=True, slots=True)
class Efficiency:
    """The shares of a GPU's peak that are reached, 0..1, and milliseconds that are neither bandwidth nor arithmetic."""

    encode: float
    """Of the arithmetic."""
    prefill: float
    """Of the arithmetic, besides ``prefill_ms``."""
    weights: float
    """Of the bandwidth, while weights are read."""
    memory: float
    """Of the bandwidth, while conversations are read."""
    prefill_ms: float
    step_ms: float


def calibrate(gpu: Gpu = H100, shape: Shape = MINI, measured: Measured = MEASURED) -> Efficiency:
    """The efficiency with which ``gpu`` showed what was ``measured``, in bf16."""
    read = 1e3 * shape.text_bytes("none", BF16) / gpu.bandwidth
    callers = CALLERS[-1] - CALLERS[0]
    conversations = 1e3 * callers * CONTEXT * shape.kv_bytes(BF16) / gpu.bandwidth
    memory = conversations / (measured.attention[-1] - measured.attention[0])
    attention = measured.attention[0] - conversations / callers / memory
    # A short prompt has next to no arithmetic: beyond the weights, its time is what every prompt pays.
    fixed = measured.prefill_short - measured.linears
    return Efficiency(
        encode=1e3 * shape.encode_flops / gpu.flops / measured.encode,
        prefill=1e3 * shape.prefill_flops(PROMPT) / gpu.flops / (measured.prefill - fixed),
        weights=read / measured.linears,
        memory=memory,
        prefill_ms=fixed,
        step_ms=measured.decode[0] - measured.linears - measured.attention[0] + attention,
    )


@dataclass(frozen=True, slots=True)
class Estimate:
    """What ``gpu`` would need at that ``efficiency``. Arithmetic is in bf16 whatever ``quantize`` says."""

    gpu: Gpu
    shape: Shape
    quantize: str
    efficiency: Efficiency

    @property
    def encode_ms(self) -> float:
        """One window of 30 s."""
        return 1e3 * self.shape.encode_flops / (self.gpu.flops * self.efficiency.encode)

    def prefill_ms(self, tokens: int) -> float:
        arithmetic = 1e3 * self.shape.prefill_flops(tokens) / (self.gpu.flops * self.efficiency.prefill)
        return self.efficiency.prefill_ms + max(self._read_ms, arithmetic)

    @property
    def first_token_ms(self) -> float:
        """From the audio of one turn, nothing of it known before."""
        return self.encode_ms + self.prefill_ms(PROMPT)

    def decode_ms(self, callers: int, context: int) -> float:
        """One step of ``callers`` sequences of ``context`` tokens each: weights and conversations are read once."""
        arithmetic = 2e3 * callers * self.shape.text_linear / (self.gpu.flops * self.efficiency.prefill)
        conversations = callers * context * self.shape.kv_bytes(BF16)
        reading = 1e3 * conversations / (self.gpu.bandwidth * self.efficiency.memory)
        return self.efficiency.step_ms + max(self._read_ms, arithmetic) + reading

    def fluent(self, context: int) -> int:
        """How many callers may be answered at once, each with FLUENT tokens a second; as far as there is memory."""
        callers = 0
        while callers < self.conversations(context) and self.decode_ms(callers + 1, context) <= 1e3 / FLUENT:
            callers += 1
        return callers

    @property
    def turns_per_s(self) -> float:
        """How many turns can begin in a second while nothing is decoded: one encode, a reply's and a transcript's
        prefill."""
        return 1e3 / (self.encode_ms + 2 * self.prefill_ms(PROMPT))

    def conversations(self, context: int) -> int:
        """How many of ``context`` tokens there is memory for."""
        room = self.gpu.memory - sum(RESERVED.values()) - weights_bytes(self.shape, self.quantize)
        return max(0, int(room / (context * self.shape.kv_bytes(BF16))))

    @property
    def _read_ms(self) -> float:
        weights = self.shape.text_bytes(self.quantize, BF16)
        return 1e3 * weights / (self.gpu.bandwidth * self.efficiency.weights)


def weights_bytes(shape: Shape, quantize: str) -> float:
    """Of the whole model: the language model's linear maps as ``quantize`` says, all else in bf16."""
    linear = shape.text_linear
    each = {"none": BF16, "int8": 1.0, "int4": 0.5}[quantize] + SCALE_BYTES[quantize]
    return linear * each + (shape.parameters - linear) * BF16


def _weights(quantize: str) -> float:
    return weights_bytes(MINI, quantize)


def floor_of(gpu: Gpu, shape: Shape, quantize: str) -> Floor:
    """What all of the bandwidth and of the arithmetic would give."""
    return Floor(shape, Speeds(gpu.bandwidth, gpu.bandwidth, gpu.flops), quantize, BF16)


# -- the page -----------------------------------------------------------------------------------------------------


def page() -> str:
    """docs/capacity.md."""
    efficiency = calibrate()
    return PAGE.format(
        bandwidth=f"{A10G.bandwidth / 1e9:.0f}",
        flops=f"{A10G.flops / 1e12:.0f}",
        prompt=PROMPT,
        context=f"{CONTEXT:,}",
        fluent=f"{FLUENT:.0f}",
        times=together.lines(_times(efficiency)),
        memory=together.lines(_memory(efficiency)),
        reserved=" and ".join(f"{size / 1e9:.1f} GB for {what}" for what, size in RESERVED.items()),
        room=f"{A10G.memory / 1e9:.1f}",
        together=together.section(_weights, sum(RESERVED.values()), CONTEXT, MINI.kv_bytes(BF16), QUANTIZE),
        kv=f"{MINI.kv_bytes(BF16) / 1024:.0f}",
        calibration=together.lines(_calibration(efficiency)),
        encode=_share(efficiency.encode),
        prefill=_share(efficiency.prefill),
        weights=_share(efficiency.weights),
        conversations=_share(efficiency.memory),
        prefill_ms=f"{efficiency.prefill_ms:.1f}",
        step_ms=f"{efficiency.step_ms:.2f}",
        parameters=f"{MINI.parameters / 1e9:.2f}",
        encode_tflop=f"{MINI.encode_flops / 1e12:.2f}",
        prefill_tflop=f"{MINI.prefill_flops(PROMPT) / 1e12:.2f}",
    )


def _times(efficiency: Efficiency) -> list[together.Cells]:
    estimates = [Estimate(A10G, MINI, quantize, efficiency) for quantize in QUANTIZE]
    floors = [floor_of(A10G, MINI, quantize) for quantize in QUANTIZE]
    bounds = [_bounds(floors[0]), *map(_bounds, floors[1:])]
    measured = _measured()
    rows = [["", "H100, bf16, measured", *map(_column, QUANTIZE)]]
    for what, calculate in STEPS.items():
        cells = [f"{calculate(one):.1f} ({bound[what]:.1f})" for one, bound in zip(estimates, bounds, strict=True)]
        rows.append([f"{what}, ms", f"{measured[what]:.1f}", *cells])
    for callers, step in zip(CALLERS, MEASURED.decode, strict=True):
        cells = [f"{1e3 * callers / one.decode_ms(callers, CONTEXT):,.0f}" for one in estimates]
        rows.append([f"tokens a second, {_callers(callers)}", f"{1e3 * callers / step:,.0f}", *cells])
    rows.append(["callers answered at once", "", *(str(one.fluent(CONTEXT)) for one in estimates)])
    rows.append(["turns that can begin in a second", "", *(f"{one.turns_per_s:.1f}" for one in estimates)])
    return rows


def _column(quantize: str) -> str:
    return f"A10G, {quantize}" if quantize == "none" else f"A10G, {quantize} (assumed)"


def _calibration(efficiency: Efficiency) -> list[together.Cells]:
    estimate, measured, floor = (
        Estimate(H100, MINI, "none", efficiency),
        _measured(),
        _bounds(floor_of(H100, MINI, "none")),
    )
    rows = [["H100, bf16, ms", "measured", "calculated", "floor"]]
    for what, calculate in STEPS.items():
        rows.append([what, f"{measured[what]:.1f}", f"{calculate(estimate):.1f}", f"{floor[what]:.1f}"])
    return rows


def _memory(efficiency: Efficiency) -> list[together.Cells]:
    estimates = [Estimate(A10G, MINI, quantize, efficiency) for quantize in QUANTIZE]
    rows = [["A10G", *QUANTIZE]]
    rows.append(["weights, GB", *(f"{weights_bytes(MINI, quantize) / 1e9:.1f}" for quantize in QUANTIZE)])
    for length, what in LENGTHS.items():
        rows.append(
            [f"conversations of {length:,} tokens ({what})", *(f"{e.conversations(length):,}" for e in estimates)]
        )
    return rows


def _share(part: float) -> str:
    return f"{100 * part:.0f} %"


def _callers(count: int) -> str:
    return "1 caller" if count == 1 else f"{count} callers"


def _decode(callers: int) -> Callable[[Estimate], float]:
    return lambda estimate: estimate.decode_ms(callers, CONTEXT)


STEPS: dict[str, Callable[[Estimate], float]] = {
    "encode 30 s": lambda estimate: estimate.encode_ms,
    f"prefill of {PROMPT} tokens": lambda estimate: estimate.prefill_ms(PROMPT),
    "encode and prefill": lambda estimate: estimate.first_token_ms,
    **{f"decode step, {_callers(callers)}": _decode(callers) for callers in CALLERS},
}


def _measured() -> dict[str, float]:
    first = MEASURED.encode + MEASURED.prefill
    return dict(zip(STEPS, (MEASURED.encode, MEASURED.prefill, first, *MEASURED.decode), strict=True))


def _bounds(floor: Floor) -> dict[str, float]:
    encode, prefill = floor.encode_ms, floor.prefill_ms(PROMPT)
    steps = (floor.decode_ms(callers, CONTEXT) for callers in CALLERS)
    return dict(zip(STEPS, (encode, prefill, encode + prefill, *steps), strict=True))


PAGE = """\
# Capacity: Voxtral on an A10G, calculated

**Nothing on this page about the A10G was measured.** It is arithmetic (`voxrtc/bench/voxtral/capacity.py`, which prints
this page: `voxrtc bench voxtral --capacity`), from what one H100 showed and from the datasheets of both. **What the
H100 showed is not of this code either**: "H100, measured" is of transformers' modules in CUDA graphs and of a prototype
of the attention kernel. On a GPU of your own, `voxrtc bench voxtral` measures the same figures of this code.

## Time
An A10G (AWS g5.xlarge has one) reads {bandwidth} GB/s and does {flops} TFLOP/s in bf16 with float32 sums (NVIDIA's
A10G datasheet, without sparsity). In each cell: as efficient as the H100 was, and in brackets the floor, where nothing
is lost. Expect something in between: what an H100 loses, it loses to kernels that are too small for it, and a GPU with
a fourteenth of its arithmetic loses less. Decoding is at {context} tokens of context for each caller.

{times}

- *Encode and prefill*: from the audio of a first turn to its first token; the H100's is the sum of the two above.
- *Callers answered at once*: each with {fluent} tokens a second or more, which is faster than they are read aloud, and
  {context} tokens of context each; that many are bound by arithmetic, so fewer bits do not help. On a call somebody is
  answered for a part of the time only.
- *Turns that can begin in a second*: one encode, and the prefills of the reply and of the transcript ({prompt} tokens
  each), with nothing left for decoding.
- (assumed) int8 and int4 are of the language model's weights alone (`models.quantize`); the encoder stays in bf16. The
  arithmetic is bf16: encode and prefill gain nothing. Neither was measured anywhere: that their kernels reach the share
  of the bandwidth that bf16 reached, and that prompts lose nothing, is assumed. With int4 prompts will lose: its
  kernels unpack the weights anew for every 16 tokens.

## Memory
A token of context takes {kv} KiB. Of the {room} GB that a program sees, what is neither weights nor conversations is
{reserved}. A voice on the same GPU needs its own (below).

{memory}

A conversation keeps its memory between its turns, so that the next turn prefills only what is new. When there is none
left, the one silent the longest gives its memory away and is read again when it speaks.

{together}

## How the efficiency was found
{parameters} B parameters; {encode_tflop} TFLOP to encode a window, {prefill_tflop} to prefill {prompt} tokens.

{calibration}

Of the H100's 989 TFLOP/s, encoding reaches {encode} and prefill {prefill}; of its 3.35 TB/s, reading weights
reaches {weights} and reading conversations {conversations}. What is neither (launches, norms, sampling) is
{prefill_ms} ms a prefill and {step_ms} ms a decode step, and taken over as it is. The parts were measured one by one:
the encoder compiled, prefill by stock modules, both in CUDA graphs; linear maps for one caller, attention alone for 1
and 32. The steps for 8 and 32 callers were not fitted, and are the check. The floor here is what the datasheet gives;
a plain copy reaches about a tenth less.
"""

if __name__ == "__main__":
    print(page(), end="")
