"""Voxtral as the verbs want it: answers and transcripts of any number of callers, out of one loop."""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any

from voxrtc.audio import HEARD_RATE, Samples
from voxrtc.errors import GaveWay, ModelsError
from voxrtc.models.asr.whisper import without_loop
from voxrtc.models.urgency import LAST, Urgency
from voxrtc.models.voxtral import prompt
from voxrtc.models.voxtral.calls import Sorter
from voxrtc.models.voxtral.conversations import Conversations, Prompt
from voxrtc.models.voxtral.loop import Loop
from voxrtc.models.voxtral.picks import Asked, Picks
from voxrtc.models.voxtral.request import End, Request, Usage
from voxrtc.models.voxtral.sequence import GREEDY, Clip, Runner, Sampling
from voxrtc.models.voxtral.tokens import Tokens
from voxrtc.models.wire import Answer, Heard, Prepare, Said, ToolCall

TOKENS_PER_S = 9
"""Of a transcript, at the most: fast English is under 6 a second; scripts of several bytes a sign need more."""
LEAST_TOKENS = 12

_Item = Heard | Said | ToolCall | Exception | None


class Mind:
    """One runner, its loop, and what is known of the conversations. Made and used in one event loop."""

    def __init__(
        self, runner: Runner, tokens: Tokens, max_waiting: int, on_broken: Callable[[ModelsError], None]
    ) -> None:
        self._runner: Runner | None = runner
        self._tokens = tokens
        self._loop = Loop(runner, max_waiting=max_waiting, on_broken=on_broken)
        self._picks = Picks(self._loop)
        self._talks = Conversations(tokens, runner.context)
        self._preparing: dict[str, Asked] = {}
        self._loop.start()

    def close(self) -> None:
        """End what is under way, and let the runner go. Blocks until the work on the GPU has ended."""
        self._loop.close()
        close = getattr(self._runner, "close", None)
        if close is not None:
            close()
        self._runner = None

    def usage(self, session: str) -> Usage | None:
        """Tokens of the session's last prompt, and how many of them were kept from before."""
        return self._loop.usage(session)

    # -- answers ----------------------------------------------------------------------------------------------

    async def answer_text(self, ask: Answer, urgency: Urgency) -> AsyncGenerator[Said | ToolCall, None]:
        """What is said to ``ask.text``, or called."""
        self._stop_preparing(ask.session)
        asked = self._picks.ask(self._reply(ask, self._talks.answer(ask), urgency))
        async with contextlib.aclosing(self._said(ask, asked)) as items:
            async for item in items:
                yield item

    async def answer_sound(
        self, ask: Answer, samples: Samples, language: str, urgency: Urgency
    ) -> AsyncGenerator[Heard | Said | ToolCall, None]:
        """What is said to ``samples``, or called, and what they say; both as they come.

        Where the answer fails, what was said is told all the same, before that is raised."""
        clip = Clip(samples)
        self._stop_preparing(ask.session)
        answer = self._reply(ask, self._talks.answer(ask, clip), urgency)
        reply, transcript = self._picks.ask_together(answer, self._transcript(clip, language, urgency))
        try:
            both = _merged(self._said(ask, reply), self._heard(ask, transcript, clip, language))
            async with contextlib.aclosing(both) as items:
                async for item in items:
                    yield item
        finally:
            reply.close()
            transcript.close()

    def _reply(self, ask: Answer, read: Prompt, urgency: Urgency) -> Request:
        sampling = Sampling(ask.temperature, secrets.randbits(31) if ask.seed is None else ask.seed)
        stop = {self._tokens.eos} if ask.tools and ask.may_call else {self._tokens.eos, self._tokens.tool_calls}
        return Request(read.ids, ask.max_tokens, read.clips, ask.session, sampling, frozenset(stop), urgency)

    async def _said(self, ask: Answer, asked: Asked) -> AsyncGenerator[Said | ToolCall, None]:
        words, ids, text = Sorter(self._tokens, whole_words=True), [], ""
        try:
            async for pick in asked:
                ids.append(pick.token)
                if piece := words.feed(pick.token):
                    text += piece
                    yield Said(piece)
        finally:
            asked.close()
        if piece := words.finish():
            text += piece
            yield Said(piece)
        calls = words.calls()
        if text.strip() and not calls:
            self._talks.said(ask.session, text, ids)
        for call in calls:
            yield ToolCall(call.name, call.arguments, secrets.token_urlsafe(9))

    # -- transcripts ------------------------------------------------------------------------------------------

    async def transcribe(self, samples: Samples, language: str, urgency: Urgency) -> AsyncGenerator[Heard, None]:
        """What ``samples`` say."""
        clip, began = Clip(samples), time.perf_counter()
        asked = self._picks.ask(self._transcript(clip, language, urgency))
        yield await self._words(asked, language, began)

    def _transcript(self, clip: Clip, language: str, urgency: Urgency) -> Request:
        seconds = clip.samples.size / HEARD_RATE
        ids = prompt.transcription(self._tokens, clip, language)
        most = int(LEAST_TOKENS + TOKENS_PER_S * seconds)
        stop = frozenset({self._tokens.eos})
        return Request(ids, most, {clip.key: clip}, "", GREEDY, stop, urgency)

    async def _heard(self, ask: Answer, asked: Asked, clip: Clip, language: str) -> AsyncGenerator[Heard, None]:
        heard = await self._words(asked, language, time.perf_counter())
        if heard.text:
            self._talks.heard(ask.session, ask.history, clip, heard.text)
        yield heard

    async def _words(self, asked: Asked, language: str, began: float) -> Heard:
        """The transcript that was asked for; no text where it has no words in it."""
        ids: list[int] = []
        logprobs = 0.0
        try:
            async for pick in asked:
                ids.append(pick.token)
                logprobs += pick.logprob
        finally:
            asked.close()
        confidence = math.exp(logprobs / len(ids)) if ids else 0.0
        if asked.request.end is not End.STOP:  # it went on until the cap, as loops do
            ids = without_loop(ids)
        text = self._tokens.decode(ids).strip()
        took_ms = (time.perf_counter() - began) * 1e3
        if not any(sign.isalnum() for sign in text):
            return Heard("", language, 0.0, took_ms)
        return Heard(text, language, confidence, took_ms)

    # -- ahead of time ----------------------------------------------------------------------------------------

    async def prepare(self, ask: Prepare) -> None:
        """Read the conversation so far, so that the next turn need not. Raises GaveWay, ModelsError."""
        if ask.session in self._preparing:
            return
        read = self._talks.prepare(ask)
        if read is None:
            return
        asked = self._picks.ask(Request(read.ids, 0, read.clips, ask.session, urgency=Urgency(LAST)))
        self._preparing[ask.session] = asked
        try:
            async for _ in asked:
                pass
        finally:
            asked.close()
            if self._preparing.get(ask.session) is asked:
                del self._preparing[ask.session]

    def _stop_preparing(self, session: str) -> None:
        """What is read ahead for ``session`` would be in the way of what it asks for now."""
        asked = self._preparing.pop(session, None)
        if asked is not None:
            asked.close()


async def _merged(
    reply: AsyncGenerator[Said | ToolCall, None], transcript: AsyncGenerator[Heard, None]
) -> AsyncGenerator[Heard | Said | ToolCall, None]:
    """Both as they come, to the end of both; no words end it. Closes both."""
    items: asyncio.Queue[tuple[bool, _Item]] = asyncio.Queue()  # bounded by the tokens that were asked for
    tasks = [
        asyncio.create_task(_pour(reply, False, items), name="Voxtral's answer"),
        asyncio.create_task(_pour(transcript, True, items), name="Voxtral's transcript"),
    ]
    failure: Exception | None = None
    under_way = 2
    try:
        while under_way:
            of_transcript, item = await items.get()
            if isinstance(item, GaveWay) or (isinstance(item, Exception) and of_transcript):
                raise item
            if isinstance(item, Exception):
                failure = item
            elif item is None:
                under_way -= 1
            else:
                yield item
                if isinstance(item, Heard) and not item.text:
                    return
        if failure is not None:
            raise failure
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)  # what they died of came through the queue


async def _pour(stream: AsyncGenerator[Any, None], of_transcript: bool, items: asyncio.Queue[tuple[bool, Any]]) -> None:
    """Put what ``stream`` gives, or fails with, and None at its end."""
    try:
        async with contextlib.aclosing(stream):
            async for item in stream:
                items.put_nowait((of_transcript, item))
    except Exception as error:  # noqa: BLE001 - carried to the reader, who raises it
        items.put_nowait((of_transcript, error))
    items.put_nowait((of_transcript, None))
