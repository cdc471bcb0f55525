"""The floors and walls of docs/design.md, held by reading every import of the package."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "voxrtc"

FLOORS = [
    {"__main__"},
    {"cli"},
    {"verbs"},
    {"bench", "doctor"},
    {"server", "client"},
    {"calls"},
    {"call"},
    {"asked"},
    {"dialogue"},
    {"endpointing", "transcription"},
    {"media", "models"},
    {
        "audio",
        "commands",
        "config",
        "errors",
        "events",
        "inline",
        "languages",
        "lines",
        "marks",
        "metrics",
        "plain",
        "settings",
        "sources",
        "speakable",
        "urls",
    },
]
"""From the top. A room imports from its own floor only if it is the base, else only from below."""

ONLY_UNDER = {
    "aiortc": {"media", "client", "bench"},
    "aioice": {"media", "bench"},
    "ctranslate2": {"models"},
    "xllamacpp": {"models"},
    "tokenizers": {"models"},
    "hibari": {"models"},
    "espeakng_loader": {"models"},
    "torch": {"models", "bench"},
    "transformers": {"models", "bench"},
    "onnxruntime": {"models", "endpointing"},
    "webrtcvad": {"endpointing"},
    "opuslib_next": {"media", "client", "bench"},
    "aiohttp": {"server", "client", "bench", "sources", "models"},
    "prometheus_client": {"metrics"},
    "rich": {"cli", "verbs", "bench"},
    "matplotlib": {"bench"},
}

MODULES = sorted(path for path in PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    """Every module that ``path`` imports, at the top or inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(str(node.module))
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def floor_of(room: str) -> int:
    (floor,) = [number for number, rooms in enumerate(FLOORS) if room in rooms]
    return floor


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        pytest.skip("the package's own front door may open any room")
    for name in imports_of(path):
        parts = name.split(".")
        if parts[0] != "voxrtc" or len(parts) < 2 or parts[1] in (room, "__version__"):
            continue
        below = floor_of(parts[1]) > floor_of(room)
        base = floor_of(parts[1]) == floor_of(room) == len(FLOORS) - 1
        assert below or base, f"{path.name} in {room} imports {name}, which is not below it"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_runtimes_stay_in_their_rooms(path: Path) -> None:
    for name in imports_of(path):
        allowed = ONLY_UNDER.get(name.split(".")[0])
        assert allowed is None or room_of(path) in allowed, f"{path} imports {name}; only {allowed} may"


def test_every_room_is_on_a_floor() -> None:
    rooms = {room_of(path) for path in MODULES} - {"__init__"}
    assert rooms == set().union(*FLOORS) & rooms
