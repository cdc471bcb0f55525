"""What may be configured: the sections and keys of config.toml, their types, ranges and defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from voxrtc.languages import ALL, primary
from voxrtc.urls import (
    STUN_URL,
    TURN_URL,
    check_host_port,
    check_http_url,
    check_origins,
    check_public_ip,
    check_reachable,
    check_urls,
    ip_version,
)

SHORTEST_CALL_S = 10.0
"""The least that ``dialogue.max_call_s`` may be."""

Port = Annotated[int, Field(ge=0, le=65535)]
Ratio = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(gt=0.0, le=86_400.0)]


class Section(BaseModel):
    """A section of the file: no unknown keys, no silent conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Server(Section):
    host: str = "127.0.0.1"
    port: Port = 8000
    max_calls: int = Field(8, ge=1, le=10_000)
    max_body_kb: int = Field(256, ge=16, le=65_536)
    origins: list[str] = []
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    _origins = field_validator("origins")(check_origins)


class Ops(Section):
    host: str = "127.0.0.1"
    port: Port = 8005


class Tcp(Section):
    host: str = "127.0.0.1"
    port: Port = 0


class Media(Section):
    public_ip: str = ""
    stun_server: str = "stun.l.google.com:19302"
    port_range: list[int] = []
    ip_version: Literal["any", "4", "6"] = "any"
    connect_timeout_s: Seconds = 10.0
    lost_after_s: Seconds = 5.0
    jitter_start_ms: int = Field(40, ge=0, le=500)
    jitter_max_ms: int = Field(200, ge=20, le=2_000)
    opus_complexity: int = Field(5, ge=0, le=10)
    opus_bitrate: int = Field(32_000, ge=6_000, le=128_000)
    play_ahead_s: Seconds = 30.0

    _public_ip = field_validator("public_ip")(check_public_ip)
    _stun_server = field_validator("stun_server")(check_host_port)

    @model_validator(mode="after")
    def _consistent(self) -> Media:
        version = ip_version(self.public_ip)
        if version and self.ip_version not in ("any", version):
            raise ValueError(f"public_ip is an IPv{version} address, which ip_version = {self.ip_version!r} leaves out")
        if self.jitter_start_ms > self.jitter_max_ms:
            raise ValueError(
                f"jitter_start_ms ({self.jitter_start_ms}) must not be more than jitter_max_ms ({self.jitter_max_ms})"
            )
        return self

    @field_validator("port_range")
    @classmethod
    def _ports(cls, ports: list[int]) -> list[int]:
        if ports and len(ports) != 2:
            raise ValueError("must be two ports, [first, last], or empty")
        if ports and not 1_024 <= ports[0] <= ports[1] <= 65_535:
            raise ValueError("must be [first, last], from 1024 to 65535, the first not above the last")
        return ports


class IceServer(Section):
    """One entry of RTCConfiguration.iceServers (W3C WebRTC, 4.2.4)."""

    urls: list[str]
    username: str | None = None
    credential: str | None = None

    @field_validator("urls")
    @classmethod
    def _forms(cls, urls: list[str]) -> list[str]:
        return check_urls(urls, STUN_URL, TURN_URL)

    @model_validator(mode="after")
    def _credentials(self) -> IceServer:
        if any(url.startswith("turn") for url in self.urls) and (self.username is None or self.credential is None):
            raise ValueError("a TURN server needs username and credential; without them browsers place no call at all")
        return self


class Turn(Section):
    ice_servers: list[IceServer] = []
    urls: list[str] = []
    secret: str = ""
    ttl_s: int = Field(7_200, ge=60, le=604_800)
    relay: bool = False

    @field_validator("urls")
    @classmethod
    def _forms(cls, urls: list[str]) -> list[str]:
        return check_urls(urls, TURN_URL)

    @model_validator(mode="after")
    def _whole(self) -> Turn:
        if self.urls and not self.secret:
            raise ValueError("urls needs secret, which the credentials are made with (coturn: static-auth-secret)")
        if self.secret and not self.urls:
            raise ValueError("secret is for urls, which is empty; servers with a fixed password go into ice_servers")
        if self.relay and not self.urls:
            raise ValueError("relay needs urls and secret")
        return self


class Endpointing(Section):
    strategy: str = "fused"
    min_silence_ms: int = Field(200, ge=50, le=5_000)
    max_silence_ms: int = Field(1_500, ge=200, le=10_000)
    threshold: Ratio = 0.5
    sure: float = Field(0.8, gt=0.0, le=1.0)
    doubt: float = Field(0.5, ge=0.0, lt=1.0)
    evidence_ms: int = Field(500, ge=0, le=5_000)
    pause_ms: int = Field(80, ge=40, le=1_000)
    end_silence_ms: int = Field(550, ge=100, le=5_000)
    min_speech_ms: int = Field(120, ge=20, le=1_000)
    speech_threshold: Ratio = 0.5
    aggressiveness: int = Field(2, ge=0, le=3)
    max_turn_s: float = Field(60.0, ge=2.0, le=600.0)

    @model_validator(mode="after")
    def _order(self) -> Endpointing:
        for low, high in (("pause_ms", "min_silence_ms"), ("min_silence_ms", "max_silence_ms"), ("doubt", "sure")):
            if getattr(self, low) >= getattr(self, high):
                raise ValueError(f"{low} ({getattr(self, low)}) must be less than {high} ({getattr(self, high)})")
        if self.pause_ms >= self.end_silence_ms:
            raise ValueError(f"pause_ms ({self.pause_ms}) must be less than end_silence_ms ({self.end_silence_ms})")
        return self


class Dialogue(Section):
    system_prompt: str = (
        "You are voxrtc, a friendly voice assistant on a phone call. Answer in one or two short spoken sentences. "
        "Never use lists, markdown or emoji."
    )
    greeting: str = ""
    language: str = "en"
    memory_turns: int = Field(5, ge=0, le=100)
    max_reply_tokens: int = Field(160, ge=1, le=4_096)
    temperature: float = Field(0.5, ge=0.0, le=2.0)
    speculation: Literal["always", "idle", "off"] = "always"
    partial_every_ms: int = Field(600, ge=0, le=10_000)
    interruptions: Literal["on", "off", "push-to-talk"] = "on"
    barge_in_ms: int = Field(120, ge=20, le=2_000)
    backchannel_ms: int = Field(600, ge=0, le=5_000)
    echo_guard: bool = True
    patience_s: Seconds = 10.0
    resume_s: float = Field(30.0, ge=0.0, le=86_400.0)
    idle_prompt_s: float = Field(30.0, ge=0.0, le=86_400.0)
    idle_hangup_s: Seconds = 600.0
    max_call_s: float = Field(3600.0, ge=0.0, le=604_800.0)
    tools: list[str] = Field([], max_length=16)
    tool_timeout_s: Seconds = 10.0
    tool_filler_s: float = Field(1.5, ge=0.0, le=86_400.0)

    @field_validator("language")
    @classmethod
    def _known(cls, code: str) -> str:
        code = primary(code)
        if code != "auto" and code not in ALL:
            raise ValueError(f"must be 'auto' or one of {', '.join(ALL)}")
        return code

    @model_validator(mode="after")
    def _order(self) -> Dialogue:
        for low, high in (("idle_prompt_s", "idle_hangup_s"), ("tool_filler_s", "tool_timeout_s")):
            short, long = getattr(self, low), getattr(self, high)
            if short and short >= long:
                raise ValueError(f"{low} ({short:g}) must be less than {high} ({long:g}), or 0 for never")
        if 0 < self.max_call_s < SHORTEST_CALL_S:
            raise ValueError(f"max_call_s ({self.max_call_s:g}) must be at least {SHORTEST_CALL_S:g}, or 0 for no end")
        return self


class Models(Section):
    profile: Literal["embedded", "voxtral", "remote"] = "embedded"
    asr: Literal["auto", "whisper-base", "whisper-large-v3-turbo"] = "auto"
    llm: Literal["qwen2.5-1.5b", "smollm2-135m"] = "qwen2.5-1.5b"
    turns: Literal["smollm2-135m", "none"] = "smollm2-135m"
    threads: int = Field(0, ge=0, le=256)
    context_tokens: int = Field(4_096, ge=512, le=131_072)
    slots: int = Field(2, ge=1, le=64)
    voxtral: str = Field("mistralai/Voxtral-Mini-3B-2507", min_length=1)
    device: Literal["cuda", "cpu"] = "cuda"
    gpu_memory_gb: float = Field(0.0, ge=0.0, le=1_000.0)
    quantize: Literal["none", "int8", "int4"] = "none"
    attention: Literal["auto", "flash", "triton", "sdpa"] = "auto"
    compile: Literal["on", "off"] = "on"
    cache_dir: str = ""
    load_timeout_s: Seconds = 300.0
    max_waiting: int = Field(64, ge=1, le=10_000)

    @property
    def whisper(self) -> str:
        """The whisper that hears, in profiles that have one."""
        if self.asr != "auto":
            return self.asr
        return "whisper-large-v3-turbo" if self.profile == "voxtral" and self.device == "cuda" else "whisper-base"

    @property
    def cache_path(self) -> Path:
        """The folder that holds model files."""
        return Path(self.cache_dir).expanduser() if self.cache_dir else Path("~/.cache/voxrtc").expanduser()


class Remote(Section):
    url: str = "http://127.0.0.1:8001/v1"
    api_key: str = ""
    model: str = Field("mistralai/Voxtral-Mini-3B-2507", min_length=1)
    hearing_model: str = ""
    hears: Literal["audio", "transcripts"] = "audio"
    transcribes: Literal["auto", "server", "whisper"] = "auto"
    max_requests: int = Field(64, ge=4, le=10_000)
    connect_timeout_s: Seconds = 5.0
    timeout_s: Seconds = 30.0
    retries: int = Field(2, ge=0, le=10)

    _url = field_validator("url")(check_http_url)


class Tts(Section):
    engine: Literal["auto", "hibari", "espeak", "chatterbox"] = "auto"
    voice: str = Field("auto", min_length=1)
    chatterbox: str = Field("ResembleAI/chatterbox", min_length=1)
    voices_dir: str = Field("voices", min_length=1)
    clauses_at_once: int = Field(0, ge=0, le=64)
    allow_cloning: bool = False
    watermark: bool = True
    languages: dict[str, str] = {}
    dia: str = Field("nari-labs/Dia-1.6B-0626", min_length=1)
    indic: str = ""
    indic_speaker: Literal["female", "male"] = "female"
    mms: str = ""
    kokoro: str = ""
    speed: float = Field(1.0, ge=0.5, le=2.0)
    first_clause_chars: int = Field(12, ge=1, le=200)
    breath_chars: int = Field(12, ge=0, le=200)
    max_clause_chars: int = Field(220, ge=20, le=2_000)

    @field_validator("languages")
    @classmethod
    def _spoken(cls, engines: dict[str, str]) -> dict[str, str]:
        engines = {primary(code): engine for code, engine in engines.items()}
        for code, engine in engines.items():
            if code not in ALL:
                raise ValueError(f"there is no language '{code}'; there are {', '.join(ALL)}")
            if engine not in ALL[code].voices:
                raise ValueError(f"{engine} does not speak '{code}'; these do: {', '.join(ALL[code].voices)}")
        return engines

    @model_validator(mode="after")
    def _named(self) -> Tts:
        if "{}" not in self.mms and self.mms:
            raise ValueError("mms needs {} where the language's code belongs, as in facebook/mms-tts-{}")
        for engine in ("indic", "mms", "kokoro"):
            if engine in self.languages.values() and not getattr(self, engine):
                raise ValueError(f"languages has {engine}, so {engine} has to say where its files are")
        return self

    @model_validator(mode="after")
    def _of_that_engine(self) -> Tts:
        one = self.engine in ("hibari", "espeak")  # which have a voice of their name; Chatterbox has many
        others = {"hibari", "espeak"} - {self.engine}
        if self.engine != "auto" and (self.voice not in ("auto", self.engine) if one else self.voice in others):
            raise ValueError(f"voice is '{self.voice}', which is none of engine '{self.engine}'; leave one of them out")
        if self.voice in ("indic", "mms", "dia", "kokoro"):
            raise ValueError(
                f"voice is '{self.voice}', which only speaks beside another; name it in languages: "
                f'{{ en = "{self.voice}" }}'
            )
        return self


EMOTIONS = ("neutral", "happy", "sad", "angry", "excited")
MARKS = (
    "Where a sentence is not neutral in mood, begin it with one of [happy], [sad], [angry] or [excited]; "
    "these marks are not spoken."
)
"""Told to the language model, where ``emotion.marks`` is on."""


class Delivery(Section):
    """How an emotion sounds. ``exaggeration``, ``cfg_weight``: Chatterbox's; ``speed``, ``pause_ms``: other voices'."""

    exaggeration: float = Field(0.5, ge=0.25, le=2.0)
    cfg_weight: Ratio = 0.5
    speed: float = Field(1.0, ge=0.5, le=2.0)
    pause_ms: int = Field(0, ge=0, le=1_000)


class Emotion(Section):
    enabled: bool = True
    marks: bool = False
    neutral: Delivery = Delivery()
    happy: Delivery = Delivery(exaggeration=0.65, cfg_weight=0.45, speed=1.04, pause_ms=0)
    sad: Delivery = Delivery(exaggeration=0.4, cfg_weight=0.35, speed=0.92, pause_ms=150)
    angry: Delivery = Delivery(exaggeration=0.75, cfg_weight=0.4, speed=1.04, pause_ms=40)
    excited: Delivery = Delivery(exaggeration=0.8, cfg_weight=0.35, speed=1.08, pause_ms=0)

    @field_validator(*EMOTIONS, mode="before")
    @classmethod
    def _rest(cls, given: Any, info: ValidationInfo) -> Any:
        """What is not said of an emotion is as it was."""
        default = cls.model_fields[str(info.field_name)].default
        return {**default.model_dump(), **given} if isinstance(given, dict) else given


class Sources(Section):
    allow: list[str] = Field([], max_length=256)
    max_mb: int = Field(64, ge=1, le=1_024)
    max_minutes: float = Field(60.0, gt=0.0, le=1_440.0)
    timeout_s: Seconds = 30.0
    at_once: int = Field(2, ge=1, le=64)

    _allow = field_validator("allow")(check_reachable)


class Metrics(Section):
    enabled: bool = True


class Settings(Section):
    server: Server = Server()
    ops: Ops = Ops()
    tcp: Tcp = Tcp()
    media: Media = Media()
    turn: Turn = Turn()
    endpointing: Endpointing = Endpointing()
    dialogue: Dialogue = Dialogue()
    models: Models = Models()
    remote: Remote = Remote()
    tts: Tts = Tts()
    emotion: Emotion = Emotion()
    sources: Sources = Sources()
    metrics: Metrics = Metrics()

    @property
    def system_prompt(self) -> str:
        """What the language model is told before the conversation."""
        marks = self.emotion.enabled and self.emotion.marks
        return f"{self.dialogue.system_prompt} {MARKS}" if marks else self.dialogue.system_prompt

    @model_validator(mode="after")
    def _enough_ports(self) -> Settings:
        ports = self.media.port_range
        if ports and ports[1] - ports[0] + 1 < self.server.max_calls:
            raise ValueError(
                f"media.port_range holds {ports[1] - ports[0] + 1} ports, and server.max_calls is "
                f"{self.server.max_calls}: each call needs a port, and one that comes back needs two for a moment"
            )
        return self
