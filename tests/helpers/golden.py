"""Golden modules, and one that is published anew."""

import json

import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.places import ZOO


class Golden:
    """One golden module and what the original library computed with it."""

    def __init__(self, name):
        self.name = name
        self.path = str(ZOO / name / "module")
        self.oracle = json.loads((ZOO / name / "oracle.json").read_text())
        # Read at once: in Python 3.12 and 3.13 threads cannot share an open zip file.
        with np.load(ZOO / name / "oracle.npz", allow_pickle=True) as arrays:
            self.arrays = dict(arrays)

    def calls(self):
        return range(len(self.oracle["apply"]))

    def inputs(self, call):
        """The recorded inputs, as they were passed."""
        entry = self.oracle["apply"][call]
        if entry["single_input"]:
            return self.arrays[f"apply{call}.in."]
        return {key: self.arrays[f"apply{call}.in.{key}"] for key in entry["inputs"]}

    def outputs(self, call):
        return {
            key: self.arrays[f"apply{call}.out.{key}"]
            for key in self.oracle["apply"][call]["outputs"]
        }

    @property
    def tune(self):
        return self.oracle["tune"]

    def batches(self):
        """Per step: inputs and targets."""
        for step in range(self.tune["steps"]):
            if self.tune["dict_input"]:
                prefix = "tune.x."
                keys = [key for key in self.arrays if key.startswith(prefix)]
                inputs = {key.removeprefix(prefix): self.arrays[key][step] for key in keys}
            else:
                inputs = self.arrays["tune.x"][step]
            yield inputs, self.arrays["tune.t"][step]

    def tuned_variables(self):
        prefix = "tune.var."
        return {
            key.removeprefix(prefix).removeprefix("module/").removesuffix(":0"): self.arrays[key]
            for key in self.arrays
            if key.startswith(prefix)
        }


def golden_names(having):
    """Names of the goldens whose oracle has something under this key."""
    return [
        folder.name
        for folder in sorted(ZOO.iterdir())
        if json.loads((folder / "oracle.json").read_text()).get(having)
    ]


def scale_fn(value=3.0, size=2):
    """A module with one weight: inputs times ``scale``."""
    x = tf.compat.v1.placeholder(tf.float32, [None, size])
    scale = tf.compat.v1.get_variable("scale", initializer=tf.fill([size], value))
    hub.add_signature(inputs=x, outputs=x * scale)
