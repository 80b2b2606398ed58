"""``python -m old_code [--v1] LIBRARY [NAME ...]``: prints what the programs return with a library.

With ``--v1`` TensorFlow behaves as it did before version 2: most old scripts ask for that in their
first line.
"""

import argparse
import importlib
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from old_code import registry

parser = argparse.ArgumentParser(prog="old_code")
parser.add_argument("--v1", action="store_true")
parser.add_argument("library")
parser.add_argument("name", nargs="*")
arguments = parser.parse_args()

if arguments.v1:
    tf.compat.v1.disable_v2_behavior()
tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)
hub = importlib.import_module(arguments.library)
programs = registry.all_programs()
for name in arguments.name or programs:
    print(json.dumps({"program": name, **registry.run(programs[name], hub)}), flush=True)
