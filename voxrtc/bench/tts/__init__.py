"""Voices on this machine: how soon they begin, how fast they speak, whether their joints can be heard."""
