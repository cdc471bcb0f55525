"""GET /openapi.json: every route is in it, nothing else is, and the server answers as it says."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec
from aiohttp import web
from jsonschema import Draft202012Validator

from tests.dialogue.scripted import READY, ScriptedModels
from tests.server.conftest import Front, Serve
from voxrtc.audio import Samples
from voxrtc.server.openapi import OPERATIONS, REASONS

CONFIG = Path(__file__).with_name("schemathesis.toml")
SECONDS = 60
"""In which schemathesis has to be done."""
HOW = (
    "Say in the OPENAPI of the module that has the routes (beside them, as in voxrtc/server/offer.py) what they take "
    "and give, and name the module in `described` in voxrtc/server/app.py."
)


def routed(app: web.Application) -> set[tuple[str, str]]:
    """What the application answers; not HEAD, which goes with GET, nor OPTIONS, which is the browser's business."""
    resources = [(route.method, route.resource) for route in app.router.routes()]
    return {(method, r.canonical) for method, r in resources if r is not None and method not in ("HEAD", "OPTIONS")}


async def test_every_route_is_described(serve: Serve) -> None:
    app = (await serve()).app
    missing = routed(app) - set(app[OPERATIONS])
    assert not missing, f"{sorted(missing)} are not described. {HOW}"


async def test_nothing_is_described_that_is_not_there(serve: Serve) -> None:
    app = (await serve()).app
    assert set(app[OPERATIONS]) - routed(app) == set()


async def test_the_document_is_whole(serve: Serve) -> None:
    front = await serve()
    async with front.http.get(front.url + "/openapi.json") as answer:
        document = await answer.json()
    assert document["openapi"].startswith("3.1.")
    ids = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            ids.add((method.upper(), path))
            assert all(int(status) in REASONS or int(status) < 400 for status in operation["responses"])
            for schema in schemas(operation):
                Draft202012Validator.check_schema(schema)
    assert ids == set(front.app[OPERATIONS])
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)


def schemas(operation: dict) -> list[dict]:
    bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
    return [media["schema"] for body in bodies for media in body.get("content", {}).values()]


async def test_the_server_answers_as_it_says(serve: Serve, tmp_path: Path) -> None:
    """schemathesis asks for everything that the document allows, and for some that it does not."""
    front = await serve(Quick(asr_s=0.0, voice_s=0.0, ready=msgspec.structs.replace(READY, cloning=True)))
    out = await schemathesis(
        front, tmp_path, "--phases", "examples,coverage,fuzzing", "--max-examples", "12", "--seed", "1"
    )
    assert out.returncode == 0, out.text


class Quick(ScriptedModels):
    """STAND-IN: makes a voice of any clip."""

    async def clone(self, name: str, samples: Samples, rate: int) -> list[str]:
        return ["en"]

    async def forget(self, name: str) -> bool:
        return False


class Out:
    def __init__(self, returncode: int, text: str) -> None:
        self.returncode, self.text = returncode, text


async def schemathesis(front: Front, folder: Path, *options: str) -> Out:
    """Run it, in a folder of its own, since it leaves files."""
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", *options]
    process = await asyncio.create_subprocess_exec(
        *command,
        front.url + "/openapi.json",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=folder,
    )
    try:
        async with asyncio.timeout(SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        output, _ = await process.communicate()
        return Out(1, f"not done within {SECONDS} s:\n{output.decode()[-4000:]}")
    assert process.returncode is not None
    return Out(process.returncode, output.decode()[-6_000:])
