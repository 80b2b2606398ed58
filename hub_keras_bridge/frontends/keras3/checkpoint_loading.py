"""A layer that takes the values of its weights from checkpoints of TF1 programs."""

from __future__ import annotations

import os
from collections.abc import Callable

from hub_keras_bridge.frontends.keras3.content import IN_A_GRAPH
from hub_keras_bridge.frontends.keras3.content_layer import ContentLayer
from hub_keras_bridge.running.place import need_eager_execution


class CheckpointLoading(ContentLayer):
    """What of :class:`ModuleLayer` reads checkpoints."""

    def load_checkpoint(
        self,
        checkpoint_path: str | bytes | os.PathLike[str],
        name_transform_fn: Callable[[str], str] | None = None,
    ) -> None:
        """Gives the weights the values that a TF1 program saved.

        The program had the module in its graph, as a ``hub.Module``, and wrote the
        checkpoint by a ``tf.train.Saver``, as Estimators do. There the module's variables
        are in a scope, such as ``module/`` or ``my_model/module_1/``. The one that has all
        of them, in their shapes, is found; what else is in the checkpoint is left there,
        such as an optimizer's slots. The weights stay the same objects, so that an
        optimizer which knows them goes on.

        Example:

        >>> import os, tempfile, tensorflow as tf, hub_keras_bridge as hub
        >>> v1, folder = tf.compat.v1, tempfile.mkdtemp()
        >>> def module_fn():
        ...     x = v1.placeholder(tf.float32, [None])
        ...     hub.add_signature(inputs=x, outputs=x * v1.get_variable("factor", initializer=2.0))
        >>> spec = hub.create_module_spec(module_fn)
        >>> with tf.Graph().as_default(), v1.Session() as session:
        ...     module = hub.Module(spec, trainable=True)
        ...     loss = tf.reduce_sum(module([1.0, 1.0]))
        ...     step = v1.train.AdamOptimizer(0.5).minimize(loss)
        ...     session.run(v1.global_variables_initializer())
        ...     _ = session.run(step)
        ...     checkpoint = v1.train.Saver().save(session, os.path.join(folder, "model"))
        >>> layer = hub.ModuleLayer(spec)
        >>> layer.load_checkpoint(checkpoint)
        >>> layer([3.0]).numpy().tolist()
        [4.5]

        Args:
            checkpoint_path: what was given to ``Saver.save()``, with the step behind it; or
                the folder of a training, whose latest checkpoint it is then.
            name_transform_fn: TF1 name of a variable in the module -> its name in the
                checkpoint, where no scope has all of them, or more than one has.

        Raises:
            CheckpointError: it cannot be read; it has no values for all variables, or
                several for each; or the layer runs a TF2 SavedModel.
            GraphModeError: a TF1 graph is being built.
        """
        content = self._content
        need_eager_execution(IN_A_GRAPH, content.subject, advice=content.graph_mode)
        self._ensure_built()
        content.load_checkpoint(checkpoint_path, name_transform_fn)
