"""Thinking: text to text."""
