"""What is said: the session, its replies, its memory."""
