"""What the applications carry, by typed key."""

import asyncio

from aiohttp import web

from voxrtc.calls import Calls
from voxrtc.metrics import Metrics
from voxrtc.server.room import Room
from voxrtc.server.status import Status
from voxrtc.settings import Settings

SETTINGS: web.AppKey[Settings] = web.AppKey("settings", Settings)
CALLS: web.AppKey[Calls] = web.AppKey("calls", Calls)
STATUS: web.AppKey[Status] = web.AppKey("status", Status)
CLIPS: web.AppKey[asyncio.Semaphore] = web.AppKey("clips", asyncio.Semaphore)
FILES: web.AppKey[asyncio.Semaphore] = web.AppKey("files", asyncio.Semaphore)
SPEECHES: web.AppKey[asyncio.Semaphore] = web.AppKey("speeches", asyncio.Semaphore)
ROOM: web.AppKey[Room] = web.AppKey("room", Room)
METRICS: web.AppKey[Metrics] = web.AppKey("metrics", Metrics)
