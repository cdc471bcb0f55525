"""A caller in Python: ``voxrtc.Client`` is one call, which programs, ``voxrtc call`` and the benches place alike."""
