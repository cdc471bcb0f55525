"""The page on a phone: a tap begins everything, the screen goes off and on, microphones come and go in the call."""

from __future__ import annotations

import pytest

from tests.chromium import MICROPHONE
from tests.web.conftest import _launch, opened

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
    "user_agent": "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/139 Mobile",
}
SAFARI = """
window.types = [];
const session = Object.assign(new EventTarget(), { state: "active" });
Object.defineProperty(session, "type", { get: () => types.at(-1), set: (type) => types.push(type) });
Object.defineProperty(navigator, "audioSession", { value: session });
"""
"""The W3C Audio Session API, which Safari has and Chromium does not."""
LOCKS = """
window.locks = []; // every one, as the browser gave it
Object.defineProperty(navigator, "wakeLock", { value: { request: async () => {
  const lock = { released: false, release: async () => { lock.released = true; } };
  locks.push(lock);
  return lock;
} } });
window.lit = (on) => { // the browser takes the lock from a page that is hidden
  Object.defineProperty(document, "hidden", { value: !on, configurable: true });
  Object.defineProperty(document, "visibilityState", { value: on ? "visible" : "hidden", configurable: true });
  if (!on) locks.forEach((lock) => (lock.released = true));
  document.dispatchEvent(new Event("visibilitychange"));
};
"""
DEVICES = """
window.there = [["default", "Default - Phone", "phone"], ["1", "Phone", "phone"]];
navigator.mediaDevices.enumerateDevices = async () =>
  there.map(([deviceId, label, groupId]) => ({ kind: "audioinput", deviceId, label, groupId }));
window.devices = (...now) => {
  window.there = now;
  navigator.mediaDevices.dispatchEvent(new Event("devicechange"));
};
"""
BLUETOOTH = '["default", "Default - Buds", "buds"], ["1", "Phone", "phone"], ["2", "Buds", "buds"]'


async def tap(seen) -> None:
    """Call, by a finger."""
    await seen.state("ready")
    await seen.page.tap("#orb")
    await seen.up()


async def test_nothing_is_opened_before_the_tap(server) -> None:
    async for browser in _launch(*MICROPHONE):  # without any flag for sound: the policy of phones
        async with opened(browser, server, **PHONE) as seen:
            await seen.state("ready")
            assert await seen.page.evaluate("[tracks.length, contexts.length, peers.length]") == [0, 0, 0]
            await tap(seen)
            await seen.holds("!sound.paused && sound.currentTime > 0.2")
            assert await seen.page.evaluate("contexts.map((one) => one.state)") == ["running"]
            assert await seen.page.evaluate("sound.playsInline ?? sound.hasAttribute('playsinline')")
            assert await seen.page.is_hidden("#problem")
            wide = await seen.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= PHONE["viewport"]["width"]


async def test_the_system_is_told_what_sound_is_for(look) -> None:
    async with look(script=SAFARI, **PHONE) as seen:
        await tap(seen)
        assert await seen.page.evaluate("types.at(-1)") == "play-and-record"
        await seen.page.tap("#hang-up")
        await seen.state("ready")
        assert await seen.page.evaluate("types.at(-1)") == "auto"
        await seen.page.fill("#text", "Hello")
        await seen.page.press("#text", "Enter")
        await seen.state("muted")
        assert await seen.page.evaluate("types.at(-1)") == "playback"  # nothing is recorded
        await seen.page.tap("#mute")
        await seen.state("listening")
        assert await seen.page.evaluate("types.at(-1)") == "play-and-record"


async def test_sound_goes_on_after_a_phone_call(look) -> None:
    async with look(script=SAFARI, **PHONE) as seen:
        await tap(seen)
        await seen.holds("!sound.paused")
        await seen.page.evaluate("() => { sound.pause(); return contexts[0].suspend(); }")
        await seen.page.evaluate("navigator.audioSession.dispatchEvent(new Event('statechange'))")
        await seen.holds("!sound.paused && contexts[0].state === 'running'")


async def test_the_screen_goes_off_and_on(look) -> None:
    async with look(script=LOCKS, **PHONE) as seen:
        await tap(seen)
        await seen.holds("locks.length === 1")
        await seen.page.evaluate("lit(false)")
        await seen.page.evaluate("() => { sound.pause(); return contexts[0].suspend(); }")
        before = seen.server.line.frames
        await seen.server.until(lambda: seen.server.line.frames > before + 20)  # the call goes on
        await seen.page.evaluate("lit(true)")
        await seen.holds("locks.length === 2 && !locks[1].released")
        await seen.holds("!sound.paused && contexts[0].state === 'running'")
        await seen.page.evaluate("lit(true)")  # once more, as some phones tell it twice
        await seen.page.evaluate("new Promise((done) => setTimeout(done))")
        assert await seen.page.evaluate("locks.length") == 2
        assert len(seen.server.offers) == 1
        await seen.page.tap("#hang-up")
        await seen.holds("locks.every((one) => one.released)")
        await seen.page.evaluate("lit(true)")
        assert await seen.page.evaluate("locks.length") == 2


async def test_the_microphone_is_taken_while_the_screen_is_off(look) -> None:
    async with look(script=LOCKS, **PHONE) as seen:
        await tap(seen)
        await seen.page.evaluate("lit(false)")
        await seen.page.evaluate("() => { tracks[0].stop(); tracks[0].dispatchEvent(new Event('ended')); }")
        await seen.state("muted")
        await seen.page.evaluate("lit(true)")
        await seen.state("listening")
        assert await seen.page.is_hidden("#problem")
        assert await seen.page.evaluate("tracks.at(-1).readyState") == "live"


async def switched(seen, count: int) -> None:
    """The call has the ``count``-th microphone, on the line that it had."""
    await seen.holds(f"tracks.length === {count} && tracks[{count - 2}].readyState === 'ended'")
    await seen.holds(f"peers[0].getSenders()[0].track === tracks[{count - 1}]")
    assert await seen.page.evaluate(f"tracks[{count - 1}].readyState") == "live"
    assert len(seen.server.offers) == 1
    before = seen.server.line.frames
    await seen.server.until(lambda: seen.server.line.frames > before + 20)
    assert await seen.page.is_hidden("#problem")


async def nothing_is_opened(seen) -> None:
    """Though Bluetooth has connected, the browser is not asked for a microphone."""
    await seen.page.evaluate("window.wish = null")
    await seen.page.evaluate(f"devices({BLUETOOTH})")
    await seen.page.evaluate("new Promise((done) => setTimeout(done))")
    assert await seen.page.evaluate("window.wish") is None


async def test_bluetooth_connects(look) -> None:
    async with look(script=DEVICES, **PHONE) as seen:
        await tap(seen)
        await seen.page.evaluate(f"devices({BLUETOOTH})")
        await switched(seen, 2)
        await seen.sees("#hint", "Microphone: ")
        await nothing_is_opened(seen)  # told twice: nothing has changed


async def test_bluetooth_connects_to_a_muted_phone_without_a_default(look) -> None:
    """Safari names no default device: what is new is what is wanted."""
    async with look(script=DEVICES, **PHONE) as seen:
        await seen.page.evaluate('window.there = [["1", "Phone", ""]]')
        await tap(seen)
        await seen.page.tap("#mute")
        await seen.state("muted")
        await seen.page.evaluate('devices(["1", "Phone", ""], ["2", "Buds", ""])')
        await switched(seen, 2)
        assert await seen.page.evaluate("tracks[1].enabled") is False
        await seen.state("muted")


async def test_bluetooth_is_out_of_reach(look) -> None:
    async with look(script=DEVICES, **PHONE) as seen:
        await tap(seen)
        await seen.page.evaluate("() => { tracks[0].stop(); tracks[0].dispatchEvent(new Event('ended')); }")
        await switched(seen, 2)
        await seen.state("listening")


async def test_bluetooth_connects_while_the_screen_is_off(look) -> None:
    async with look(script=DEVICES + LOCKS, **PHONE) as seen:
        await tap(seen)
        await seen.page.evaluate("lit(false)")
        await nothing_is_opened(seen)
        await seen.page.evaluate("lit(true)")
        await switched(seen, 2)


async def test_a_chosen_microphone_is_kept(look) -> None:
    script = DEVICES + "localStorage.setItem('voxrtc.settings', JSON.stringify({ microphone: '1' }));"
    async with look(script=script, **PHONE) as seen:
        await tap(seen)
        await seen.page.evaluate("tracks[0].getSettings = () => ({ deviceId: '1' })")
        await nothing_is_opened(seen)
