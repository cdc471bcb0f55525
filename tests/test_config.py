import os
import re
import tomllib
from pathlib import Path

import pytest

from voxrtc import config, settings
from voxrtc.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str, dotenv: str = "") -> Path:
        (tmp_path / ".env").write_text(dotenv)
        path = tmp_path / "config.toml"
        path.write_text(text)
        return path

    return write


def test_the_shipped_file_holds_every_key_at_its_default() -> None:
    table = tomllib.loads((ROOT / "config.toml").read_text())
    assert table == {
        name: section.model_dump() for name, section in ((n, getattr(settings.Settings(), n)) for n in table)
    }
    assert set(table) == set(settings.Settings.model_fields)


def test_every_key_of_the_shipped_file_has_a_comment() -> None:
    for line in (ROOT / "config.toml").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            assert "#" in line, line


def test_the_environment_wins_over_the_file_and_the_file_over_defaults(write) -> None:
    path = write('[server]\nport = 9001\nhost = "::1"\n')
    settings = config.load(path, {"VOXRTC_SERVER__PORT": "9002", "VOXRTC_MODELS__LLM": "smollm2-135m"})
    assert (settings.server.port, settings.server.host, settings.models.llm) == (9002, "::1", "smollm2-135m")


def test_variables_of_the_original_system(write) -> None:
    path = write("", 'LOG_LEVEL=debug\nMODEL_CACHE_DIR="/srv/models"\n')
    settings = config.load(path, {"MODEL_LOAD_TIMEOUT": "61.5", "MODEL_CACHE_DIR": "/opt/models"})
    assert settings.server.log_level == "DEBUG"
    assert settings.models.load_timeout_s == 61.5
    assert settings.models.cache_path == Path("/opt/models"), "what is really set wins over .env"


def test_tokens_in_dotenv_reach_the_process(write, monkeypatch) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    config.load(write("", "HF_TOKEN=hf_x\nCUDA_VISIBLE_DEVICES=0\n"))
    assert os.environ["HF_TOKEN"] == "hf_x"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"
    monkeypatch.delenv("HF_TOKEN")


def test_lists_and_bare_strings_from_the_environment(write) -> None:
    settings = config.load(
        write(""),
        {
            "VOXRTC_TURN__ICE_SERVERS": '[{ urls = ["stun:stun.example.org"] }]',
            "VOXRTC_DIALOGUE__GREETING": "Hello there!",
            "VOXRTC_DIALOGUE__SPECULATION": "off",
        },
    )
    assert settings.turn.ice_servers[0].urls == ["stun:stun.example.org"]
    assert settings.dialogue.greeting == "Hello there!"
    assert settings.dialogue.speculation == "off"


@pytest.mark.parametrize(
    ("text", "environ", "parts"),
    [
        ("[server]\nport = 'x'\n", {}, ["config.toml", "server.port", "'x'", "integer"]),
        ("[server]\nport = 70000\n", {}, ["config.toml", "server.port", "70000", "65535"]),
        ("[server]\nprot = 1\n", {}, ["config.toml", "'server.prot'", "port"]),
        ("[sever]\nport = 1\n", {}, ["config.toml", "'sever'", "server"]),
        ("server = 3\n", {}, ["config.toml", "server", "3"]),
        ("[server\n", {}, ["config.toml", "TOML", "line 1"]),
        ("[dialogue]\nlanguage = 'xx'\n", {}, ["dialogue.language", "'xx'", "auto", "en"]),
        ("[endpointing]\npause_ms = 900\n", {}, ["endpointing", "900", "200"]),
        (
            "[endpointing]\nmin_silence_ms = 1500\n",
            {},
            ["endpointing", "min_silence_ms (1500)", "max_silence_ms (1500)"],
        ),
        ("[endpointing]\nmax_silence_ms = 199\n", {}, ["endpointing.max_silence_ms", "199", "200"]),
        ("[endpointing]\npause_ms = 200\n", {}, ["pause_ms (200) must be less than min_silence_ms (200)"]),
        ("[endpointing]\ndoubt = 0.9\nsure = 0.9\n", {}, ["doubt (0.9) must be less than sure (0.9)"]),
        ("[endpointing]\nsure = 0.0\n", {}, ["endpointing.sure", "0.0", "greater than 0"]),
        ("[endpointing]\nthreshold = 1.5\n", {}, ["endpointing.threshold", "1.5"]),
        ("[endpointing]\nend_silence_ms = 100\npause_ms = 100\n", {}, ["pause_ms (100)", "end_silence_ms (100)"]),
        (
            "[dialogue]\nidle_hangup_s = 30.0\n",
            {},
            ["dialogue", "idle_prompt_s (30) must be less than idle_hangup_s (30)"],
        ),
        (
            "[dialogue]\ntool_timeout_s = 1.0\n",
            {},
            ["dialogue", "tool_filler_s (1.5) must be less than", "0 for never"],
        ),
        ("[dialogue]\nmax_call_s = 5.0\n", {}, ["dialogue", "max_call_s (5) must be at least 10, or 0"]),
        ("[models]\nturns = 'gpt'\n", {}, ["models.turns", "'gpt'", "smollm2-135m", "none"]),
        ("", {"VOXRTC_SERVER__PORT": "many"}, ["VOXRTC_SERVER__PORT", "server.port", "'many'"]),
        ("", {"VOXRTC_SERVER__PRT": "1"}, ["VOXRTC_SERVER__PRT", "server.prt", "port"]),
        ("", {"VOXRTC_NOPE__X": "1"}, ["VOXRTC_NOPE__X", "'nope'", "server"]),
        (
            "[turn]\nice_servers = [{ url = 'stun:x' }]\n",
            {},
            ["turn.ice_servers.0.url", "urls, username"],
        ),
        ("[media]\npublic_ip = 'here'\n", {}, ["media.public_ip", "'here'", "an IP address", '"ec2", "stun"']),
        ("[media]\npublic_ip = '127.0.0.1'\n", {}, ["media.public_ip", "callers elsewhere"]),
        ("[media]\npublic_ip = 'fe80::1'\n", {}, ["media.public_ip", "callers elsewhere"]),
        ("[media]\npublic_ip = '2001:db8::1%eth0'\n", {}, ["media.public_ip", "callers elsewhere"]),
        ("[media]\npublic_ip = '203.0.113.7'\nip_version = '6'\n", {}, ["media", "IPv4 address", "leaves out"]),
        ("[media]\njitter_start_ms = 300\n", {}, ["jitter_start_ms (300) must not be more than jitter_max_ms (200)"]),
        ("[media]\nstun_server = 'stun.example.org'\n", {}, ["media.stun_server", "host:port"]),
        ("[media]\nstun_server = 'stun.example.org:0'\n", {}, ["media.stun_server", "no port 0"]),
        ("[media]\nport_range = [40000]\n", {}, ["media.port_range", "[40000]", "two ports"]),
        ("[media]\nport_range = [41000, 40000]\n", {}, ["media.port_range", "the first not above the last"]),
        ("[media]\nport_range = [80, 90]\n", {}, ["media.port_range", "from 1024"]),
        (
            "[media]\nport_range = [40000, 40006]\n",
            {},
            ["config.toml: media.port_range holds 7 ports", "server.max_calls is 8"],
        ),
        ("[turn]\nurls = ['turn:turn.example.org']\n", {}, ["turn: ", "urls needs secret"]),
        ("[turn]\nsecret = 'x'\n", {}, ["turn: ", "secret is for urls, which is empty"]),
        ("[turn]\nrelay = true\n", {}, ["turn: ", "relay needs urls and secret"]),
        ("[turn]\nsecret = 'x'\nurls = ['stun:a']\n", {}, ["turn.urls", "'stun:a'", "begin with turn: or turns:"]),
        ("[turn]\nsecret = 'x'\nurls = ['turn:a:99999']\n", {}, ["turn.urls", "no port 99999"]),
        ("[turn]\nsecret = 'x'\nurls = ['turn:a?transport=sctp']\n", {}, ["turn.urls", "?transport=udp"]),
        ("[turn]\nsecret = 'x'\nurls = ['turn://a']\n", {}, ["turn.urls", "'turn://a'"]),
        ("[turn]\nice_servers = [{ urls = ['http://a'] }]\n", {}, ["turn.ice_servers.0.urls", "stun:, stuns:, turn:"]),
        ("[turn]\nice_servers = [{ urls = ['stun:a?transport=udp'] }]\n", {}, ["turn.ice_servers.0.urls"]),
        ("[turn]\nice_servers = [{ urls = ['turn:a'] }]\n", {}, ["turn.ice_servers.0", "username and credential"]),
        ("", {"VOXRTC_SERVER": "1"}, ["VOXRTC_SERVER", "VOXRTC_SECTION__KEY"]),
        ("", {"MODEL_LOAD_TIMEOUT": "soon"}, ["MODEL_LOAD_TIMEOUT", "models.load_timeout_s", "soon"]),
        ("", {"LOG_LEVEL": "loud"}, ["LOG_LEVEL", "LOUD", "DEBUG"]),
    ],
)
def test_errors_name_place_key_found_and_allowed(write, text, environ, parts) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(write(text), environ)
    for part in parts:
        assert part in str(caught.value)


def test_zero_turns_a_limit_off(write) -> None:
    limits = "idle_prompt_s = 0.0\nidle_hangup_s = 1.0\nmax_call_s = 0.0\ntool_filler_s = 0.0\ntool_timeout_s = 1.0\n"
    assert config.load(write("[dialogue]\n" + limits), {}).dialogue.max_call_s == 0


def test_all_faults_are_told_at_once(write) -> None:
    with pytest.raises(ConfigError) as caught:
        config.load(write("[server]\nport = -1\nmax_calls = 0\n[x]\n"), {})
    assert len(str(caught.value).splitlines()) == 3


def test_a_named_file_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.toml"):
        config.load(tmp_path / "no.toml", {})


def test_the_example_environment_names_only_real_variables() -> None:
    for line in (ROOT / ".env.example").read_text().splitlines():
        name, _, value = line.removeprefix("# ").partition("=")
        if name.startswith(config.PREFIX):
            config.load(None, {name: value})
        elif value and name.isupper():
            assert name in config.ALIASES or name in config.PASSED_ON


def test_a_dotenv_that_is_no_text_is_told(write, tmp_path: Path) -> None:
    path = write("")
    (tmp_path / ".env").write_bytes(b"LOG_LEVEL=\xff\xfe")
    with pytest.raises(ConfigError, match=r"\.env: cannot be read"):
        config.load(path, {})


@pytest.mark.parametrize("address", ["", "ec2", "stun", "198.51.100.1", "2001:db8::1"])
def test_public_addresses(write, address: str) -> None:
    assert config.load(write(f"[media]\npublic_ip = '{address}'\n"), {}).media.public_ip == address


@pytest.mark.parametrize(
    "url",
    [
        "turn:turn.example.org",
        "turn:turn.example.org:80?transport=tcp",
        "turns:turn.example.org:443?transport=tcp",
        "turn:[2001:db8::1]:3478",
        "turn:10.0.0.1",
    ],
)
def test_urls_of_turn_servers(write, url: str) -> None:
    path = write(f"[turn]\nurls = ['{url}']\nsecret = 'x'\nrelay = true\n[media]\nport_range = [40000, 40007]\n")
    assert config.load(path, {}).turn.urls == [url]


def test_of_an_emotion_only_what_differs_need_be_said(write) -> None:
    path = write("[emotion]\nsad = { speed = 0.8 }\n")
    loaded = config.load(path, {"VOXRTC_EMOTION__HAPPY": "{ pause_ms = 20 }", "VOXRTC_EMOTION__MARKS": "true"}).emotion
    assert loaded.sad == settings.Emotion().sad.model_copy(update={"speed": 0.8})
    assert loaded.happy == settings.Emotion().happy.model_copy(update={"pause_ms": 20})
    assert loaded.marks


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sad = { speed = 3.0 }", "emotion.sad.speed"),
        ("sad = { exaggeration = 0.1 }", "emotion.sad.exaggeration"),
        ("sad = { cfg_weight = 1.5 }", "emotion.sad.cfg_weight"),
        ("sad = { pause_ms = 5000 }", "emotion.sad.pause_ms"),
        ("sad = { loudness = 1 }", "allowed: exaggeration, cfg_weight, speed, pause_ms"),
        ("sad = 1", "emotion.sad"),
        ("bored = { speed = 1.0 }", "unknown key 'emotion.bored'"),
    ],
)
def test_what_an_emotion_may_not_be(write, line: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        config.load(write(f"[emotion]\n{line}\n"), {})
