"""Voxtral: hears and thinks for all callers at once, on one GPU."""
