"""ModuleSpec: what a module is, before any graph is built."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from typing import Any

from google.protobuf.message import DecodeError

from hub_keras_bridge.errors import (
    AttachmentError,
    CheckpointError,
    FormatError,
    Subject,
    TagsError,
)
from hub_keras_bridge.errors.words import choices, listed, show_shape, show_tags
from hub_keras_bridge.facts.checkpoint import Checkpoint, write_checkpoint
from hub_keras_bridge.facts.checkpoint_paths import prefix_of
from hub_keras_bridge.facts.shown.signature_table import signature_table
from hub_keras_bridge.facts.tags import as_tags
from hub_keras_bridge.facts.tensor_info import ParsedTensorInfo
from hub_keras_bridge.facts.variables import VariableFacts
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.files import module_writing
from hub_keras_bridge.files.module_folder import ModuleFiles


class ModuleSpec:
    """The contents of a TF1 Hub module, by variant and signature.

    Made by :func:`load_module_spec` and :func:`create_module_spec`. Tags are
    any collection of strings; None means the empty set, a module's variant for
    inference.

    Attributes:
        files: the protos and the paths behind the spec.
        subject: the module as messages call it.

    Example:

    >>> import tensorflow as tf, hub_keras_bridge as hub
    >>> def module_fn(training):
    ...     x = tf.compat.v1.placeholder(tf.float32, [None, 3])
    ...     kernel = tf.compat.v1.get_variable("kernel", [3, 2])
    ...     x_or_less = tf.nn.dropout(x, 0.1) if training else x
    ...     hub.add_signature(inputs={"x": x}, outputs=tf.matmul(x_or_less, kernel))
    >>> spec = hub.create_module_spec(
    ...     module_fn, [(set(), {"training": False}), ({"train"}, {"training": True})]
    ... )
    >>> spec.get_tags()
    [frozenset(), frozenset({'train'})]
    >>> spec.get_signature_names(tags={"train"})
    ['default']
    >>> info = spec.get_input_info_dict()["x"]
    >>> print(info)
    float32 [?, 3]
    >>> info.dtype, info.get_shape(), info.is_sparse
    (tf.float32, TensorShape([None, 3]), False)
    >>> [(variable.name, variable.shape) for variable in spec.variables]
    [('kernel', (3, 2))]
    """

    def __init__(self, files: ModuleFiles) -> None:
        self.files = files
        self.subject = Subject(files.name, kind=files.kind)
        variants = [
            Variant(meta_graph, self.subject, made_here=files.made_here)
            for meta_graph in files.saved_model.meta_graphs
        ]
        self._variants = {variant.tags: variant for variant in variants}
        if len(self._variants) != len(variants):
            raise FormatError(
                f"Cannot use a {self.subject.kind}: two of its variants have the same tags.",
                self.subject,
                expected="one graph for each set of tags",
                found=listed(show_tags(variant.tags) for variant in variants),
                advice="fetch the module again, or publish each set of tags once",
            )

    def __repr__(self) -> str:
        tags = listed(map(show_tags, self.get_tags()))
        return f"<hub_keras_bridge.ModuleSpec {self.files.name!r} with tags {tags}>"

    def _repr_html_(self) -> str:
        """The signatures, where a notebook shows the spec."""
        return signature_table(f"ModuleSpec {self.files.name!r}", self._variants.values())

    def __copy__(self) -> ModuleSpec:
        return self

    def __deepcopy__(self, memo: Any) -> ModuleSpec:
        return self  # immutable

    def get_tags(self) -> list[frozenset[str]]:
        """The tags of each variant, the empty set first."""
        return sorted(self._variants)

    def get_signature_names(self, tags: Collection[str] | None = None) -> list[str]:
        """Names of the signatures of a variant.

        Raises:
            TagsError: no such variant.
        """
        return self.variant(tags).signature_names

    def get_input_info_dict(
        self, signature: str | None = None, tags: Collection[str] | None = None
    ) -> dict[str, ParsedTensorInfo]:
        """Dtype, shape and kind of each input of a signature, by name.

        Each has ``dtype``, ``get_shape()``, ``is_sparse`` and ``type_spec``.

        Args:
            signature: its name; ``"default"`` if None.
            tags: which variant; the empty set if None.

        Raises:
            TagsError: no such variant.
            SignatureError: no such signature; None means ``"default"``.
        """
        return dict(self.variant(tags).signature(signature).inputs)

    def get_output_info_dict(
        self, signature: str | None = None, tags: Collection[str] | None = None
    ) -> dict[str, ParsedTensorInfo]:
        """Dtype, shape and kind of each output of a signature, by name.

        Args and what each has: as for :meth:`get_input_info_dict`.

        Raises:
            TagsError: no such variant.
            SignatureError: no such signature; None means ``"default"``.
        """
        return dict(self.variant(tags).signature(signature).outputs)

    def get_attached_message(
        self,
        key: str,
        message_type: type,
        tags: Collection[str] | None = None,
        required: bool = False,
    ) -> Any:
        """The message that the publisher attached under ``key``.

        Args:
            key: name of the attachment.
            message_type: the protobuf class to parse it with.
            tags: which variant.
            required: whether its absence is an error.

        Returns:
            A message, or None if there is none and it is not required.

        Raises:
            AttachmentError: it is required and absent, or of another type.
            TagsError: no such variant.

        Example:

        >>> import tensorflow as tf, hub_keras_bridge as hub
        >>> from google.protobuf import wrappers_pb2
        >>> def module_fn():
        ...     x = tf.compat.v1.placeholder(tf.float32, [None])
        ...     hub.add_signature(inputs=x, outputs=x)
        ...     hub.attach_message("language", wrappers_pb2.StringValue(value="mri"))
        >>> spec = hub.create_module_spec(module_fn)
        >>> spec.get_attached_message("language", wrappers_pb2.StringValue).value
        'mri'
        >>> spec.get_attached_message("labels", wrappers_pb2.StringValue)
        """
        variant = self.variant(tags)
        if key not in variant.attachments:
            if not required:
                return None
            raise AttachmentError(
                f"No message is attached to a TF1 Hub module under {key!r}.",
                variant.subject,
                expected=f"the key of an attached message: {choices(variant.attachments)}",
                found=repr(key),
                advice="choose a key from this list, or pass required=False",
            )
        message = message_type()
        try:
            message.ParseFromString(variant.attachments[key])
        except DecodeError as error:
            raise AttachmentError(
                f"Cannot read the message attached to a TF1 Hub module under {key!r}.",
                variant.subject,
                expected=f"a serialized {message_type.__name__} message",
                found=str(error),
                advice="pass the message type that the publisher attached",
            ) from error
        return message

    def export(
        self,
        path: str,
        checkpoint_path: str | bytes | os.PathLike[str] | None = None,
        name_transform_fn: Callable[[str], str] | None = None,
    ) -> None:
        """Writes the module with variables from a checkpoint.

        Args:
            path: the directory to make.
            checkpoint_path: the checkpoint's prefix, as a Saver returned it, or
                the folder of a training, whose latest checkpoint it is then. By
                default the module's own, if it was loaded from a directory.
            name_transform_fn: TF1 name of a variable in the module -> its name
                in the checkpoint; by default the same.

        Raises:
            CheckpointError: there is no checkpoint, or not for all variables.
            ExportError: the target is taken or cannot be written.

        Example:

        >>> import os, tempfile, tensorflow as tf, hub_keras_bridge as hub
        >>> v1, folder = tf.compat.v1, tempfile.mkdtemp()
        >>> def double():
        ...     x = v1.placeholder(tf.float32, [None])
        ...     hub.add_signature(inputs=x, outputs=x * v1.get_variable("factor", []))
        >>> with tf.Graph().as_default(), v1.Session() as session:
        ...     trained = v1.get_variable("model/factor", initializer=2.0)
        ...     session.run(trained.initializer)
        ...     checkpoint = v1.train.Saver().save(session, os.path.join(folder, "trained"))
        >>> path = os.path.join(folder, "double")
        >>> hub.create_module_spec(double).export(path, checkpoint, lambda name: f"model/{name}")
        >>> hub.ModuleLayer(path)([3.0]).numpy().tolist()
        [6.0]
        """
        if not self.variables:
            return module_writing.write_module(path, self.files, None)
        given = prefix_of(checkpoint_path, self.subject)
        prefix = given or self.files.checkpoint
        if prefix is None:
            raise CheckpointError(
                "Cannot export a TF1 Hub module: its variables have no values yet.",
                self.subject,
                expected="checkpoint_path=... of a checkpoint with "
                + choices(facts.name for facts in self.variables),
                found="none",
                advice="pass checkpoint_path, or export what you trained: ModuleLayer(spec) "
                "has export_module(path)",
            )
        own_names = (lambda name: name) if given else self.files.name_in_checkpoint
        source = Checkpoint(prefix, self.subject, name_transform_fn or own_names)
        saved = self.variables_in(source)
        return module_writing.write_module(
            path,
            self.files,
            lambda target: write_checkpoint(target, ((f, source.read(f)) for f in saved)),
        )

    def variant(self, tags: Collection[str] | None) -> Variant:
        """The variant with exactly these tags.

        Raises:
            TagsError: there is none.
        """
        wanted = as_tags(tags)
        if wanted not in self._variants:
            raise TagsError(
                f"A {self.subject.kind} has no variant with tags {show_tags(wanted)}.",
                self.subject,
                expected=f"one of {listed(map(show_tags, self.get_tags()))}",
                found=show_tags(wanted),
                advice="pass tags=... with one of these sets",
            )
        return self._variants[wanted]

    @property
    def variables(self) -> tuple[VariableFacts, ...]:
        """The variables of all variants, each once."""
        by_node: dict[str, VariableFacts] = {}
        for variant in self._variants.values():
            for facts in variant.variables:
                known = by_node.setdefault(facts.node, facts)
                if (known.shape, known.dtype) != (facts.shape, facts.dtype):
                    raise FormatError(
                        f"Cannot use variable {facts.node!r} of a {self.subject.kind}: "
                        "its variants disagree.",
                        variant.subject,
                        expected=f"{known.dtype.name} {show_shape(known.shape)}",
                        found=f"{facts.dtype.name} {show_shape(facts.shape)}",
                        advice="fetch the module again; its graphs do not belong together",
                    )
        return tuple(by_node.values())

    @property
    def saved_variables(self) -> tuple[VariableFacts, ...]:
        """The variables that each checkpoint of a graph with the module has.

        A variable that only another variant has than the one for inference may be absent: a
        training graph can hold more than the checkpoint of an inference graph.
        """
        inference = self._variants.get(frozenset()) or next(iter(self._variants.values()))
        return tuple(facts for facts in inference.variables if facts.is_global)

    def variables_in(self, checkpoint: Checkpoint) -> list[VariableFacts]:
        """The variables to read from a checkpoint: ``saved_variables``, and others it has."""
        saved = set(self.saved_variables)
        return [facts for facts in self.variables if facts in saved or checkpoint.has(facts)]
