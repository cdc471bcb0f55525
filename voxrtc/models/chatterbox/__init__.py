"""Chatterbox: speaks for all callers at once, on one GPU, as its speech is made."""
