"""Speaking: text to 24 kHz samples."""
