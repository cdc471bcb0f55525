from contextlib import suppress

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opuslib_next import APPLICATION_AUDIO
from opuslib_next import Encoder as LibEncoder

from tests.media.callers import clip, likeness
from voxrtc.audio import BLOCK, HEARD_RATE, SPOKEN_BLOCK, SPOKEN_RATE, resample
from voxrtc.errors import AudioError
from voxrtc.media.opus import SILENCE, Decoder, Encoder, has_fec, packet_us

SPEECH = clip("jfk")[: 5 * HEARD_RATE]
SPOKEN = resample(SPEECH, HEARD_RATE, SPOKEN_RATE)


def packets(encoder: Encoder) -> list[bytes]:
    return [
        encoder.encode(SPOKEN[at : at + SPOKEN_BLOCK]) for at in range(0, SPOKEN.size - SPOKEN_BLOCK + 1, SPOKEN_BLOCK)
    ]


def test_speech_survives_the_way_there_and_back() -> None:
    decoder = Decoder()
    blocks = [decoder.decode(packet) for packet in packets(Encoder())]
    assert {block.size for block in blocks} == {BLOCK}
    assert likeness(np.concatenate(blocks), SPEECH) > 0.97


def test_bitrate_and_complexity_are_used() -> None:
    low = packets(Encoder(bitrate=12_000, complexity=0))
    high = packets(Encoder(bitrate=64_000, complexity=10))
    assert sum(map(len, low)) * 3 < sum(map(len, high))


@pytest.mark.parametrize("us", [2_500, 5_000, 10_000, 20_000, 40_000, 60_000])
def test_every_frame_size_is_measured_and_decoded(us: int) -> None:
    size = SPOKEN_RATE * us // 1_000_000
    encoder = LibEncoder(SPOKEN_RATE, 1, APPLICATION_AUDIO)
    packet = encoder.encode_float(SPOKEN[SPOKEN_RATE : SPOKEN_RATE + size].tobytes(), size)
    assert packet_us(packet) == us
    assert Decoder().decode(packet).size == HEARD_RATE * us // 1_000_000


def test_several_frames_in_one_packet() -> None:
    assert packet_us(bytes([(13 << 3) | 1])) == 40_000  # two equal frames of 20 ms
    assert packet_us(bytes([(31 << 3) | 3, 6])) == 120_000
    with pytest.raises(AudioError, match="frame count"):
        packet_us(bytes([(31 << 3) | 3, 7]))


def test_ready_silence_is_silent_for_20_ms() -> None:
    assert packet_us(SILENCE) == 20_000
    silence = Decoder().decode(SILENCE)
    assert silence.size == BLOCK
    assert np.abs(silence).max() < 1e-6


def test_speech_after_ready_silence_is_unharmed() -> None:
    decoder = Decoder()
    for _ in range(50):
        decoder.decode(SILENCE)
    assert likeness(np.concatenate([decoder.decode(p) for p in packets(Encoder())]), SPEECH) > 0.97


def test_fec_brings_back_the_packet_before() -> None:
    encoder = Encoder(bitrate=32_000)
    encoder.expect_loss(20)
    sent = packets(encoder)
    protected = [n for n in range(1, len(sent)) if has_fec(sent[n])]
    assert len(protected) > len(sent) / 3
    whole, holed, concealed = Decoder(), Decoder(), Decoder()
    truth, restored, made_up = [], [], []
    for n, packet in enumerate(sent):
        kept = whole.decode(packet)
        if n in protected[::4] and n + 1 in protected:
            truth.append(kept)
            restored.append(holed.decode_before(sent[n + 1], BLOCK))
            made_up.append(concealed.conceal(BLOCK))
        else:
            holed.decode(packet)
            concealed.decode(packet)
    said = np.concatenate(truth)
    assert likeness(np.concatenate(restored), said) > likeness(np.concatenate(made_up), said)
    assert likeness(np.concatenate(restored), said) > 0.8


def test_no_fec_without_expected_loss() -> None:
    assert not any(has_fec(packet) for packet in packets(Encoder()))
    assert not has_fec(b"")


def test_concealment_goes_on_and_fades() -> None:
    decoder = Decoder()
    for packet in packets(Encoder())[:60]:
        decoder.decode(packet)
    made_up = [decoder.conceal(BLOCK) for _ in range(40)]
    assert {block.size for block in made_up} == {BLOCK}
    assert np.abs(made_up[0]).max() > 10 * np.abs(made_up[-1]).max()


@given(st.binary(max_size=200))
@example(b"")
@example(b"\xff\xff")
@example(b"\x00" * 1500)
def test_hostile_bytes_raise_a_sentence_or_decode(data: bytes) -> None:
    decoder = Decoder()
    has_fec(data)
    for attempt in (lambda: decoder.decode(data), lambda: decoder.decode_before(data, BLOCK)):
        with suppress(AudioError):
            samples = attempt()
            assert samples.dtype == np.float32
            assert samples.size <= HEARD_RATE * 120 // 1000
    assert decoder.decode(SILENCE).size == BLOCK


def test_the_encoder_takes_one_packet_at_a_time() -> None:
    with pytest.raises(AudioError, match="480 samples"):
        Encoder().encode(np.zeros(320, np.float32))
