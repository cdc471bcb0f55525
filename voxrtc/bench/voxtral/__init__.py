"""Voxtral on this machine: our runner beside transformers' own ``generate`` and the floors that its memory sets."""
