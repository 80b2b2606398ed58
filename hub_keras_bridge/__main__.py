"""``python -m hub_keras_bridge COMMAND``: the command line, where its script is not at hand."""

import sys

from hub_keras_bridge.cli import main

if __name__ == "__main__":
    sys.exit(main())
