"""Every published figure comes from here."""
