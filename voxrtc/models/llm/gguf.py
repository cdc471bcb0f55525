"""A GGUF language model by llama.cpp (xllamacpp's Server, in this process): chat in, text out in pieces.

The server keeps each slot's last prompt; what a new prompt has in common with it, from the start, is not computed
again. Prompts go in BATCH tokens at a time, and between two of these, as between two tokens of the answer, a request
can be stopped.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxrtc.errors import ModelsError
from voxrtc.models.llm import ending
from voxrtc.models.llm.calling import Sorter, grammar
from voxrtc.models.llm.prompt import messages
from voxrtc.models.threads import wait_politely
from voxrtc.models.wire import Tool, Utterance
from voxrtc.settings import MARKS

BATCH = 32
"""Tokens of a prompt between two chances to stop (0.4 s of Qwen 1.5B on two cores); the least llama.cpp takes. It
costs a tenth of the speed of whole prompts: 75 against 82 tokens a second."""

REUSE = 8
"""Tokens in a row that are worth moving within the cache. When the memory's window slides, its oldest turn goes and all
that follows moves up: without this it would be computed again, 3 s of Qwen 1.5B on two cores for five turns."""

_TOO_LONG = "exceed_context_size_error"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request: in the prompt, how many of these were cached, and in the answer."""

    prompt: int = 0
    cached: int = 0
    said: int = 0


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn."""

    max_tokens: int
    temperature: float = 0.5
    seed: int | None = None


class Gguf:
    """One model with ``slots`` conversations' state, each of ``context_tokens``. Any thread may call its methods."""

    def __init__(self, model: Path, *, threads: int, slots: int, context_tokens: int) -> None:
        """Raises ModelsError where llama.cpp cannot load the file."""
        self._context = context_tokens
        params = _params(model, threads, slots, context_tokens)
        with tempfile.TemporaryDirectory(prefix="voxrtc-") as folder:
            # The server insists on listening. It gets a socket in a folder only we may enter, which is gone after this.
            params.hostnames = [f"{folder}/llama.sock"]
            try:
                self._server: Any = _runtime().Server(params)
            except Exception as error:
                raise ModelsError(f"llama.cpp cannot load {model}: {error}") from error

    def generate(
        self,
        system: str,
        history: Sequence[Utterance],
        text: str,
        slot: int,
        sampling: Sampling,
        say: Callable[[str], None],
        stopped: Callable[[], bool] = lambda: False,
        *,
        tools: Sequence[Tool] = (),
        steps: Sequence[Utterance] = (),
        call: Callable[[str, str], None] | None = None,
    ) -> Usage:
        """Answer ``text``; blocks, and calls ``say`` with each piece. Ends early once ``stopped`` is true.

        ``call`` is called instead, with name and arguments (JSON), where the model wants one of ``tools``; None if it
        may not. ``steps``: what was called about ``text`` already.
        Where the prompt and the answer's tokens exceed the context the oldest turns of ``history`` are left out.
        Raises ModelsError when even without history there is no room, or when the model fails.
        """
        sorter = Sorter(say)
        say = sorter.take if tools else say
        while True:
            request = _Request(self._context - sampling.max_tokens if history else self._context, say, stopped)
            payload = _payload(messages(system, history, text, tools, steps), slot, sampling)
            if tools:
                payload["grammar"] = grammar(tools, call is not None, MARKS in system)
            self._server.handle_chat_completions(payload, request.take)
            if request.too_long and history:
                history = _without_oldest(history)
                continue
            if request.too_long:
                raise ModelsError(
                    f"what was said does not fit the {self._context} tokens of models.context_tokens; raise it"
                )
            if request.error:
                raise ModelsError(f"the language model failed: {request.error}")
            if call is not None and sorter.calls and not stopped():
                call(*sorter.call())
            return request.usage

    def ending(self, text: str) -> float:
        """The probability that somebody who said ``text`` is done (models.llm.ending). Blocks."""
        payload = {
            "prompt": ending.prompt(text),
            "n_predict": 1,
            "n_probs": ending.CANDIDATES,
            "temperature": 0.0,
            "cache_prompt": True,
            "stream": False,
        }
        answers: list[dict[str, Any]] = []
        self._server.handle_completions(payload, lambda answer: bool(answers.append(answer)))  # type: ignore[func-returns-value]
        if not answers or "error" in answers[-1]:
            raise ModelsError(f"the language model failed: {answers[-1:]}")
        logprobs = answers[-1]["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
        return ending.probability(logprobs)

    def close(self) -> None:
        """Free the model; not while generate() runs."""
        self._server = None


def _without_oldest(history: Sequence[Utterance]) -> Sequence[Utterance]:
    """``history`` from its second turn on."""
    return history[next((n for n in range(1, len(history)) if history[n].role == "user"), len(history)) :]


class _Request:
    """Takes what the server sends for one request: dictionaries of OpenAI's ``chat.completion.chunk``."""

    def __init__(self, room: int, say: Callable[[str], None], stopped: Callable[[], bool]) -> None:
        self._room = room
        self._say = say
        self._stopped = stopped
        self._begun = False
        self.too_long = False
        self.error = ""
        self.usage = Usage()

    def take(self, chunk: dict[str, Any]) -> bool:
        """True stops the request."""
        if "error" in chunk:
            self.too_long = chunk["error"].get("type") == _TOO_LONG
            self.error = str(chunk["error"].get("message", chunk["error"]))
            return True
        if progress := chunk.get("prompt_progress"):
            self.too_long = progress["total"] > self._room
            self.usage = Usage(progress["total"], progress["cache"])
        for choice in chunk.get("choices", ()):
            self._piece(choice.get("delta", {}).get("content") or "")
        return self.too_long or self._stopped()

    def _piece(self, text: str) -> None:
        if not self._begun:
            text = text.lstrip()
        if text and not self._stopped():
            self._begun = True
            self.usage = Usage(self.usage.prompt, self.usage.cached, self.usage.said + 1)
            self._say(text)


def _runtime() -> Any:
    """The module xllamacpp; OpenMP comes with it."""
    wait_politely()
    import xllamacpp

    return xllamacpp


def _params(model: Path, threads: int, slots: int, context_tokens: int) -> Any:
    params = _runtime().CommonParams()
    params.model.path = str(model)
    params.n_parallel = slots
    params.n_ctx = context_tokens * slots
    params.n_batch = params.n_ubatch = BATCH
    for cores in (params.cpuparams, params.cpuparams_batch):
        cores.n_threads = threads
        cores.poll = 0  # threads that have nothing to do leave the cores to whisper and the voice
    params.n_cache_reuse = REUSE
    params.cache_ram_mib = 0  # no second copy of what the slots hold
    params.cache_idle_slots = False
    params.n_ctx_checkpoints = 0
    params.verbosity = -1
    params.ui = params.endpoint_slots = params.endpoint_props = params.endpoint_metrics = False
    return params


def _payload(chat: list[dict[str, str]], slot: int, sampling: Sampling) -> dict[str, Any]:
    payload = {
        "messages": chat,
        "id_slot": slot,
        "cache_prompt": True,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "stream": True,
        "return_progress": True,
    }
    return payload if sampling.seed is None else payload | {"seed": sampling.seed}
