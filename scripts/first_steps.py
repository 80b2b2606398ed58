"""What one does first with the package: publish, pack, resolve, call, fit, save, export.

python scripts/first_steps.py FOLDER: writes into the working directory; ends with an error if
a number is wrong, or the package is not that in FOLDER. check_release.py runs it with a wheel.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import hub_keras_bridge as hub

v1 = tf.compat.v1


def module_fn() -> None:
    """A dense layer without a bias, that begins with ones."""
    x = v1.placeholder(tf.float32, [None, 3])
    kernel = v1.get_variable("kernel", initializer=tf.ones([3, 2]))
    hub.add_signature(inputs=x, outputs=tf.matmul(x, kernel))


def main(installed: str) -> None:
    """Goes the whole way, with numbers known beforehand."""
    assert Path(hub.__file__).is_relative_to(installed), hub.__file__
    x = np.ones((4, 3), np.float32)

    hub.ModuleLayer(hub.create_module_spec(module_fn)).export_module("module")
    hub.archive.pack("module", "module.tar.gz")
    assert hub.audit_module(hub.load_module_spec("module")).is_safe
    layer = hub.ModuleLayer(hub.resolve("module.tar.gz"), trainable=True)
    np.testing.assert_allclose(layer(x), 3 * np.ones((4, 2)))

    model = keras.Sequential([layer])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    losses = model.fit(x, np.zeros((4, 2)), epochs=2, verbose=0).history["loss"]
    # Each weight's gradient is the output; three of them take as many tenths of it away.
    np.testing.assert_allclose(losses, [9, (3 * 0.7) ** 2], rtol=1e-5)

    tuned = layer.variable_map["kernel"].numpy()
    np.testing.assert_allclose(tuned, 0.49 * np.ones((3, 2)), rtol=1e-5)
    model.save("tuned.keras")
    np.testing.assert_array_equal(keras.models.load_model("tuned.keras")(x), model(x))
    layer.export_module("tuned_module")
    exported = hub.ModuleLayer("tuned_module").variable_map["kernel"]
    np.testing.assert_array_equal(exported, tuned)


if __name__ == "__main__":
    main(sys.argv[1])
