"""Every message survives the wire exactly."""

import msgspec
import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from voxrtc.models import wire

encoder = msgspec.msgpack.Encoder()
client, host = msgspec.msgpack.Decoder(wire.FromClient), msgspec.msgpack.Decoder(wire.FromHost)

text = st.text(max_size=40)
ids = st.integers(0, 2**53)
number = st.floats(allow_nan=False)
utterances = st.lists(
    st.builds(wire.Utterance, st.sampled_from(["user", "assistant", "call", "result"]), text, st.booleans()), max_size=5
)
tools = st.lists(
    st.builds(wire.Tool, text, text, st.dictionaries(text, text | ids | st.none(), max_size=3)), max_size=2
)
verbs = st.one_of(
    st.builds(wire.Transcribe, st.binary(max_size=99), st.none() | text, st.booleans()),
    st.builds(
        wire.Answer,
        session=text,
        system=text,
        history=utterances,
        audio=st.none() | st.binary(max_size=99),
        text=st.none() | text,
        language=st.none() | text,
        max_tokens=st.integers(1, 4096),
        temperature=number,
        seed=st.none() | ids,
        tools=tools,
        steps=utterances,
        may_call=st.booleans(),
        guess=text,
    ),
    st.builds(wire.Prepare, text, text, utterances, text, tools),
    st.builds(wire.Ends, text, text),
    st.builds(wire.Speak, text, text, text, number, text, number, text),
    st.builds(wire.Clone, text, st.binary(max_size=99), ids),
)
items = st.one_of(
    st.builds(wire.Heard, text, text, number, number),
    st.builds(wire.Ending, number),
    st.builds(wire.Said, text),
    st.builds(wire.ToolCall, text, text, text),
    st.builds(wire.Speech, st.binary(max_size=99), ids, ids),
    st.builds(wire.Cloned, st.lists(text, max_size=3)),
)


@given(
    st.one_of(
        st.builds(wire.Ask, ids, verbs),
        st.builds(wire.Cancel, ids),
        st.builds(wire.Release, text),
        st.builds(wire.Forget, text),
    )
)
def test_what_a_client_sends(message):
    assert client.decode(encoder.encode(message)) == message


@given(
    st.one_of(
        st.builds(wire.Item, ids, items),
        st.builds(wire.Done, ids),
        st.builds(wire.Failed, ids, st.sampled_from(["busy", "refused", "broken", "gave_way"]), text),
        st.builds(wire.Loading, text, number),
        st.builds(
            wire.Ready,
            *(text, text, text, text),
            st.dictionaries(text, st.lists(text, max_size=3), max_size=3),
            st.lists(text, max_size=3),
            number,
        ),
        st.builds(wire.Broken, text),
    )
)
def test_what_a_host_sends(message):
    assert host.decode(encoder.encode(message)) == message


@given(npst.arrays(np.float32, st.integers(0, 200), elements=st.floats(-1, 1, width=32)))
def test_samples_are_exact(samples):
    back = wire.unpack(wire.pack(samples))
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, samples)
    assert not back.flags.writeable


def test_samples_of_any_layout_are_packed_in_order():
    samples = np.arange(10, dtype=np.float64)[::2]
    np.testing.assert_array_equal(wire.unpack(wire.pack(samples.astype(np.float32))), [0, 2, 4, 6, 8])
