"""One WebRTC peer: signalling answers, jitter, audio in and audio out. The only place that knows aiortc."""
