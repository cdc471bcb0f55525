"""``voxrtc bench media``: many callers whose sound is echoed through the full media path, ours and stock aiortc's."""
