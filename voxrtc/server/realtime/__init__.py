"""OpenAI's Realtime API (GA): a translator that knows no transport, and its HTTP routes."""
