"""`voxrtc serve` as a user starts it, but for the models: its host runs STAND-INs of tests/models/scripted.py.

python -m tests.server.child FACTORY
"""

import sys

from voxrtc import cli
from voxrtc.models import client

if __name__ == "__main__":
    factory = f"tests.models.scripted:{sys.argv[1]}"
    client.COMMAND = (sys.executable, "-m", "voxrtc.models.host", "--profile-factory", factory)
    sys.exit(cli.main(["serve"]))
