"""What has no words is given to no voice."""

from __future__ import annotations

import pytest

from voxrtc.models.speaking import Speaking
from voxrtc.models.tts import espeak
from voxrtc.models.wire import Speak
from voxrtc.settings import Settings

WORDLESS = ["", "😀", "🎉🎉!", "👍🏽 ❤️‍🔥 …", "**", "?!", "[😀](https://example.org/a)", "—"]


@pytest.mark.skipif(not espeak.installed(), reason="espeak-ng names signs that stand alone")
async def test_nothing_is_said_without_words() -> None:
    room = Speaking(Settings.model_validate({"tts": {"engine": "hibari"}}))
    room.load(lambda what, fraction: None)
    try:
        for voice in ("hibari", "espeak"):
            for text in WORDLESS:
                assert [speech async for speech in room.speak(Speak(text, voice, "en"))] == []
            assert [speech async for speech in room.speak(Speak("🎉 Yes!", voice, "en"))]
    finally:
        await room.close()
