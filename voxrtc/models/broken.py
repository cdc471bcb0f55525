"""What is done when a GPU cannot be worked with any more from this process."""

from __future__ import annotations

import logging
import os
import signal

from voxrtc.errors import ModelsError

logger = logging.getLogger(__name__)


def end_host(error: ModelsError) -> None:
    """End the host process, so that its client starts another one."""
    logger.error("%s", error)
    os.kill(os.getpid(), signal.SIGTERM)
