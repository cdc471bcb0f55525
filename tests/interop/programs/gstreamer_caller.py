"""GStreamer's webrtcbin (libnice, its own DTLS with an RSA certificate, libsrtp). Trickles.

Usage: /usr/bin/python3 gstreamer_caller.py URL FOLDER; the system's Python, which has GObject introspection.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from common import BLOCK, RATE, Call, Clip  # noqa: E402 - after require_version
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

SOUND = f"audio/x-raw,format=S16LE,rate={RATE},channels=1,layout=interleaved"
PIPELINE = f"""
appsrc name=microphone is-live=true format=time caps={SOUND} ! audioconvert ! opusenc frame-size=40 audio-type=voice
! rtpopuspay pt=96 ! application/x-rtp,media=audio,encoding-name=OPUS,payload=96
! webrtcbin name=webrtc bundle-policy=max-bundle
"""
EARS = (
    f"rtpopusdepay ! opusdec ! audioconvert ! audioresample ! {SOUND} ! appsink name=ears emit-signals=true sync=false"
)


class Caller:
    """The pipeline, and what its signals tell."""

    def __init__(self, call: Call, clip: Clip) -> None:
        self._call, self._clip = call, clip
        self.heard: list[bytes] = []
        self.pipeline = Gst.parse_launch(PIPELINE)
        self._webrtc = self.pipeline.get_by_name("webrtc")
        self._microphone = self.pipeline.get_by_name("microphone")
        self._webrtc.connect("on-ice-candidate", lambda _, index, line: call.candidate(line, None, index))
        self._webrtc.connect("pad-added", self._take)
        self._webrtc.connect("on-negotiation-needed", lambda _: self._needed.set())
        self._needed = threading.Event()
        self._speaking = threading.Thread(target=self._speak, daemon=True)

    def connect(self) -> None:
        """Offer, and take the answer."""
        self.pipeline.set_state(Gst.State.READY)
        self.channel = self._webrtc.emit("create-data-channel", "voxrtc", None)
        self.channel.connect("on-open", lambda _: self._call.opened())
        self.channel.connect("on-message-string", lambda _, text: self._call.message(text))
        self.pipeline.set_state(Gst.State.PLAYING)
        self._speaking.start()
        self._needed.wait()  # it is, once the first packet has told the form of all that follow
        reply = self._ask("create-offer", None)
        offer = reply.get_value("offer")  # a part of the reply, which must be kept while it is used
        self._ask("set-local-description", offer)
        answer = self._call.offer(offer.sdp.as_text())
        _, description = GstSdp.SDPMessage.new_from_text(answer)
        answered = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, description)
        self._ask("set-remote-description", answered)

    def close(self) -> None:
        self.pipeline.set_state(Gst.State.NULL)

    def _ask(self, action: str, argument: Any) -> Gst.Structure:
        promise = Gst.Promise.new()
        self._webrtc.emit(action, argument, promise)
        promise.wait()
        reply = promise.get_reply()
        if reply is not None and reply.has_field("error"):
            raise RuntimeError(f"{action}: {reply.get_value('error').message}")
        return reply

    def _speak(self) -> None:
        """10 ms every 10 ms, by the clock of the pipeline, until it is closed."""
        clock, base = self.pipeline.get_clock(), self.pipeline.get_base_time()
        began = clock.get_time() - base
        for n in range(sys.maxsize):
            buffer = Gst.Buffer.new_wrapped(self._clip.next())
            buffer.pts, buffer.duration = began + n * 10 * Gst.MSECOND, BLOCK * Gst.SECOND // RATE
            if self._microphone.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                return
            time.sleep(max(0, (began + (n + 1) * 10 * Gst.MSECOND + base - clock.get_time()) / Gst.SECOND))

    def _take(self, _: Any, pad: Gst.Pad) -> None:
        if pad.direction != Gst.PadDirection.SRC:
            return
        ears = Gst.parse_bin_from_description(EARS, True)
        ears.get_by_name("ears").connect("new-sample", self._hear)
        self.pipeline.add(ears)
        ears.sync_state_with_parent()
        pad.link(ears.get_static_pad("sink"))

    def _hear(self, ears: Any) -> Gst.FlowReturn:
        buffer = ears.emit("pull-sample").get_buffer()
        self.heard.append(buffer.extract_dup(0, buffer.get_size()))
        return Gst.FlowReturn.OK


def converse(caller: Caller, call: Call, clip: Clip) -> None:
    caller.connect()
    call.until("call_started")
    clip.begin()
    call.until("reply_ended")
    caller.channel.emit("send-string", '{"type": "export_memory"}')
    call.until("memory_exported")
    call.hang_up()
    call.write(caller.heard)


def main(url: str, folder: Path) -> None:
    Gst.init(None)
    call, clip = Call(url, folder, Gst.version_string().split()[-1]), Clip(folder)
    caller, loop = Caller(call, clip), GLib.MainLoop()
    bus = caller.pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message::error", lambda _, message: call.failed(RuntimeError(message.parse_error()[0].message)))
    failure: list[BaseException] = []

    def work() -> None:
        try:
            converse(caller, call, clip)
        except BaseException as error:  # noqa: BLE001 - raised again by the main thread
            failure.append(error)
        GLib.idle_add(loop.quit)

    threading.Thread(target=work, daemon=True).start()
    loop.run()
    if failure:
        raise failure[0]
    caller.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
    sys.stdout.flush()
    os._exit(0)  # GLib's own threads have no end
