"""/health, /ready, /metrics and /debug/tasks."""

from __future__ import annotations

from tests.dialogue.scripted import READY, ScriptedModels
from tests.server.conftest import Serve
from voxrtc import __version__


async def test_health_on_both_ports(serve: Serve) -> None:
    front = await serve(server={"max_calls": 3})
    guest, _ = await front.exchange.up()
    await front.exchange.up()
    await guest.close()
    await front.exchange.settle(active=1)
    for url in (front.url, front.ops):
        async with front.http.get(url + "/health") as answer:
            assert answer.status == 200
            assert answer.headers["Cache-Control"] == "no-store"
            body = await answer.json()
        assert body.pop("uptime_s") >= 0
        counts = body.pop("counts")
        assert (counts["turns"], counts["interruptions"], counts["speculation_kept"]) == (0, 0, 0)
        assert body.pop("latency_ms")["asr"] == {"p50": None, "p95": None}
        assert body == {
            "status": "ok",
            "version": __version__,
            "calls": 1,
            "sessions_waiting": 1,
            "max_calls": 3,
            "profile": "scripted",
        }


async def test_ready_tells_the_progress_until_it_is(serve: Serve) -> None:
    models = ScriptedModels(ready=None)
    front = await serve(models, warm=False)

    async def ready() -> tuple[int, dict[str, object]]:
        statuses = []
        for url in (front.url, front.ops):
            async with front.http.get(url + "/ready") as answer:
                assert answer.headers["Cache-Control"] == "no-store"
                assert ("Retry-After" in answer.headers) == (answer.status == 503)
                statuses.append((answer.status, await answer.json()))
        assert statuses[0] == statuses[1]
        return statuses[0]

    assert await ready() == (503, {"status": "loading", "what": "starting", "fraction": 0.0})
    front.status.progress("loading qwen2.5-1.5b", 0.12345)
    assert await ready() == (503, {"status": "loading", "what": "loading qwen2.5-1.5b", "fraction": 0.123})
    models.ready = READY
    assert (await ready())[0] == 503, "the fixed phrases are not rendered yet"
    front.status.warm = True
    status, body = await ready()
    assert status == 200
    assert body == {
        "status": "ready",
        "profile": READY.profile,
        "hears": READY.hears,
        "thinks": READY.thinks,
        "speaks": READY.speaks,
        "languages": READY.hears_languages,
        "voices": READY.voices,
    }
    models.ready = None
    assert await ready() == (503, {"status": "loading", "what": "starting the models again", "fraction": 0.0})
    models.ready = READY
    front.status.drain()
    assert await ready() == (503, {"status": "draining", "what": "ending", "fraction": 0.0})
    async with front.http.get(front.url + "/health") as answer:
        assert (answer.status, (await answer.json())["status"]) == (200, "draining")


async def test_metrics(serve: Serve) -> None:
    front = await serve(ScriptedModels(asr_s=0.0, first_token_s=0.0, token_s=0.0, replies=["Yes."]))
    guest, _ = await front.exchange.up()
    guest.say(type="text", text="Well?")
    await guest.until("reply_ended")
    async with front.http.get(front.ops + "/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        lines = (await answer.text()).splitlines()
    for line in (
        "voxrtc_calls 1.0",
        "voxrtc_calls_started_total 1.0",
        'voxrtc_replies_total{ended="finished"} 1.0',
        "voxrtc_voice_to_voice_seconds_count 1.0",
    ):
        assert line in lines


async def test_metrics_may_be_switched_off(serve: Serve) -> None:
    front = await serve(metrics={"enabled": False})
    async with front.http.get(front.ops + "/metrics") as answer:
        assert answer.status == 404


async def test_tasks_are_told_on_loopback_only(serve: Serve) -> None:
    front = await serve()
    _, answered = await front.exchange.up()
    async with front.http.get(front.ops + "/debug/tasks") as answer:
        tasks = (await answer.json())["tasks"]
    assert "call" in tasks
    assert not any(answered.session in task for task in tasks), "who knows a call's name can hang it up"
    assert not any(name.startswith("Task-") for name in tasks)
    async with front.http.get(front.ops + "/debug/tasks") as answer:
        assert (await answer.json())["tasks"] == tasks
    front = await serve(ops={"host": "0.0.0.0"})
    async with front.http.get(front.ops + "/debug/tasks") as answer:
        assert answer.status == 404
