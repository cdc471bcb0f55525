"""Are these words a whole turn? What a small language model expects to follow them.

The words stand as the beginning of a user's line in the model's own chat format; the probability that the line, or its
sentence, ends there is read off the model's next token. No training is needed for that, only a model of 135M
parameters (10 to 30 ms on one core) and a few lines before it, so that it expects speech and not prose: on 40 things
people say to assistants, against all their beginnings, these raise the area under the ROC curve from 0.950 to 0.974.
"""

from __future__ import annotations

import math
import re
from typing import Any

UNKNOWN = -1.0
"""Where nothing can be told."""
READS = frozenset({"en"})
"""Languages that SmolLM2 was trained on."""
LONGEST = 400
"""Characters that are looked at: the last of a longer turn."""
CANDIDATES = 40
"""Next tokens that are looked at; the probability of all others together is below 0.1 where a sentence may end."""

_SHOTS = (
    "Hello.",
    "What's the capital of Italy?",
    "Turn the volume down.",
    "No, the other one.",
    "I went there last year and I liked it very much.",
    "Stop.",
)
_BEFORE = "".join(f"<|im_start|>user\n{line}<|im_end|>\n" for line in _SHOTS)

_TRAILING = re.compile(r"[\s.?!…,;:\-–—]+$")
_ENDS = (".", "?", "!", "\n")


def prompt(text: str) -> str:
    """``text`` as the beginning of a user's line (ChatML, as Qwen2.5 and SmolLM2 have it). Whisper's own full stop
    says only that it was given no more, so it goes."""
    text = _TRAILING.sub("", text.strip())[-LONGEST:]
    return f"{_BEFORE}<|im_start|>user\n{text[:1].upper()}{text[1:]}"


def probability(next_tokens: list[dict[str, Any]]) -> float:
    """That the line ends here: the share of ``next_tokens`` (llama.cpp's ``top_logprobs``) that end a sentence or are
    special, whose text is empty."""
    return sum(
        math.exp(token["logprob"])
        for token in next_tokens
        if not token["token"] or token["token"].lstrip(" ").startswith(_ENDS) or token["token"].startswith("<|")
    )
