"""The profile that asks an OpenAI-compatible server of models."""
