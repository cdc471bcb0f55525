"""HTTP, thin: one module a dialect, each a translation to and from calls and events."""
