"""When the caller speaks, pauses, goes on, is done."""
