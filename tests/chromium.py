"""The Chromium of every test that needs a browser: where it is, and how it is started."""

from __future__ import annotations

import shutil

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or "chromium"

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--allow-loopback-in-peer-connection",
)
"""Nothing that phones home, and calls to a server on the same machine."""

MICROPHONE = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
"""A microphone that beeps once a second, and somebody who allows its use."""

AUTOPLAY = "--autoplay-policy=no-user-gesture-required"
"""Sound without a press."""
