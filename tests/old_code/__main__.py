"""``python -m old_code LIBRARY [NAME ...]``: prints what the programs return with that library."""

import importlib
import json
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from old_code import registry

tf.compat.v1.logging.set_verbosity(tf.compat.v1.logging.ERROR)

library, *names = sys.argv[1:]
hub = importlib.import_module(library)
programs = registry.all_programs()
for name in names or programs:
    print(json.dumps({"program": name, **registry.run(programs[name], hub)}), flush=True)
