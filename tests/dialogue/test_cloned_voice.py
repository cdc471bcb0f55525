"""A call with the voice of somebody's clip: it is chosen by its name, and may be gone before the call is."""

from __future__ import annotations

import msgspec

from tests.dialogue.conftest import Stage
from tests.dialogue.scripted import READY, ScriptedModels
from voxrtc.bench.virtual import in_virtual_time
from voxrtc.commands import Configure
from voxrtc.events import Notice, ReplyEnded

CLONED = msgspec.structs.replace(READY, voices=READY.voices | {"anna": ["en"]}, clones=["anna"])


@in_virtual_time
async def test_a_voice_that_is_gone_gives_way_to_the_default_one_and_says_so_once() -> None:
    models = ScriptedModels(ready=CLONED)
    stage = Stage(models)
    for at in (500, 9_000, 18_000):
        stage.voice.say(at, at + 1_500)
    async with stage.up():
        stage.session.configure(Configure(voice="anna"))
        await stage.until(ReplyEnded)
        assert {ask.voice for ask in models.spoken} == {"anna"}
        models.ready = READY
        models.spoken.clear()
        await stage.until(ReplyEnded, 3)
    assert {ask.voice for ask in models.spoken} == {"auto"}
    assert [(notice.code, "anna" in notice.message) for notice in stage.all(Notice)] == [("no_voice", True)]


@in_virtual_time
async def test_a_voice_is_kept_while_the_models_are_being_started_again() -> None:
    models = ScriptedModels(ready=CLONED)
    stage = Stage(models)
    stage.voice.say(500, 2_000)
    async with stage.up():
        stage.session.configure(Configure(voice="anna"))
        models.ready = None
        await stage.until(ReplyEnded)
    assert {ask.voice for ask in models.spoken} == {"anna"}
    assert not stage.all(Notice)


@in_virtual_time
async def test_what_is_said_again_and_again_is_not_kept_in_a_voice_whose_name_may_come_to_mean_another() -> None:
    models = ScriptedModels(ready=CLONED)
    stage = Stage(models, dialogue={"greeting": "Hello, this is voxrtc.", "partial_every_ms": 0, "idle_prompt_s": 0})
    phrases = stage.session._assistant._phrases
    async with stage.up():
        await stage.until(ReplyEnded)
        stage.session.configure(Configure(voice="anna"))
        stage.session._assistant.remark({"en": "Are you there?"})
        await stage.until(ReplyEnded, 2)
    (greeting, remark) = models.spoken
    assert (greeting.voice, remark.voice) == ("auto", "anna")
    assert phrases.known(greeting) is not None
    assert phrases.known(remark) is None
