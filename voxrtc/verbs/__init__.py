"""What the commands of the command line do; voxrtc.cli parses and calls them."""
