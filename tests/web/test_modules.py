"""The page's files: nothing inline, nothing from elsewhere, every import resolves and is used for what it exports."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web"
MODULES = sorted(WEB.glob("*.js"))
IMPORT = re.compile(r'^import (?:\* as \w+|\{([^}]*)\}) from "([^"]+)";$', re.M)
EXPORT = re.compile(r"^export (?:async )?(?:function|class|const) (\w+)", re.M)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def tags() -> list[tuple[str, dict[str, str | None]]]:
    parser = _Tags()
    parser.feed((WEB / "index.html").read_text())
    return parser.tags


def test_nothing_is_inline(tags) -> None:
    for tag, attributes in tags:
        assert "style" not in attributes, (tag, attributes)
        assert not [a for a in attributes if a.startswith("on")], (tag, attributes)
        assert tag != "style"
        if tag == "script":
            assert attributes.get("src")
            assert attributes.get("type") == "module"


def test_what_the_page_names_is_there(tags) -> None:
    named = [a.get("src") or a.get("href") for tag, a in tags if tag in ("script", "link")]
    assert named
    for name in named:
        assert (WEB / name).is_file(), name
    icons = json.loads((WEB / "manifest.webmanifest").read_text())["icons"]
    assert all((WEB / icon["src"]).is_file() for icon in icons)


def test_ids_are_unique_and_symbols_exist(tags) -> None:
    ids = [a["id"] for _, a in tags if a.get("id")]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r'#(i-[\w-]+)"', (WEB / "index.html").read_text()))
    used |= {f"i-{name}" for name in re.findall(r'icon: "([\w-]+)"', (WEB / "orb.js").read_text())}
    assert used <= set(ids)


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.name)
def test_imports_resolve(module: Path) -> None:
    source = module.read_text()
    assert source.count("\nimport ") + source.startswith("import ") == len(IMPORT.findall(source))
    for names, target in IMPORT.findall(source):
        assert target.startswith("./"), target
        exported = set(EXPORT.findall((WEB / target).read_text()))
        assert {n.strip() for n in names.split(",") if n.strip()} <= exported, target


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.name)
def test_every_module_is_imported_and_small(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= 350
    if module.name != "main.js":
        assert any(f'from "./{module.name}"' in other.read_text() for other in MODULES)


def test_nothing_comes_from_elsewhere() -> None:
    for file in WEB.iterdir():
        text = file.read_text()
        for found in re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text):
            assert found == "http://www.w3.org", (file.name, found)


def test_the_page_knows_every_event() -> None:
    from voxrtc import events

    known = set(re.findall(r'"([a-z_]+)"', (WEB / "events.js").read_text().partition("KNOWN")[2].partition("]")[0]))
    kinds = [k for k in vars(events).values() if isinstance(k, type) and issubclass(k, events.Event)]
    assert known == {events.wire_name(k) for k in kinds} - {"event"}
