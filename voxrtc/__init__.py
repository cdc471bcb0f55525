"""voxrtc: a voice assistant server that you can call."""

__version__ = "0.1.0"
