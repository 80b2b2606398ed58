"""load: a TF1 Hub module or a SavedModel as an object that TensorFlow 2 can reuse."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import Any

import tensorflow as tf

from hub_keras_bridge.errors import GraphModeError, HandleError, SignatureError, Subject
from hub_keras_bridge.errors.redaction import redact
from hub_keras_bridge.facts.reading import read_tf1_spec
from hub_keras_bridge.facts.served import served_signature, served_tags
from hub_keras_bridge.facts.signatures import DEFAULT_KEY, DEFAULT_SIGNATURE
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.facts.variant import Variant
from hub_keras_bridge.files.fetch.resolve import resolve
from hub_keras_bridge.frontends.tf1.loaded_in_graph import GraphModule
from hub_keras_bridge.frontends.tf2.loaded_module import LoadedModule
from hub_keras_bridge.frontends.tf2.restored_model import RestoredModel
from hub_keras_bridge.frontends.tf2.restoring import no_variants, restore
from hub_keras_bridge.frontends.tf2.saved_model_file import subject_of, tf2_saved_model
from hub_keras_bridge.plans.selection import select
from hub_keras_bridge.plans.trust import Trust


def load(
    handle: str | os.PathLike[str] | ModuleSpec,
    tags: str | Collection[str] | None = None,
    options: tf.saved_model.LoadOptions | None = None,
    *,
    signature: str | None = None,
    output_key: str | Sequence[str] | None = None,
    training_tags: Collection[str] | None = None,
    safe_mode: bool = True,
    trusted_ops: Collection[str] = (),
) -> LoadedModule | RestoredModel | GraphModule:
    """Loads a TF1 Hub module as a reusable object of TensorFlow 2.

    ``tf.saved_model.save(load(handle), path)`` converts the module to TF2: the
    SavedModel stands alone and can be fine-tuned, for example in
    ``tensorflow_hub.KerasLayer(path, trainable=True)``. Of the signatures it
    has one, for serving; ``signatures=module.signatures`` saves them all.

    SavedModels load, too. What one of TensorFlow 2 lacks of the interface is
    added: a call that runs a signature, lists of what there is. One of TensorFlow 1
    (from an Estimator, ``simple_save``, a ``SavedModelBuilder``) is as a module is,
    whatever else training left in it.

    Example:

    >>> import tempfile, hub_keras_bridge as hub
    >>> def module_fn():
    ...     x = tf.compat.v1.placeholder(tf.float32, [None, 2])
    ...     scale = tf.compat.v1.get_variable("scale", initializer=[[3.0, 5.0]])
    ...     hub.add_signature(inputs=x, outputs=x * scale)
    >>> module = load(hub.create_module_spec(module_fn))
    >>> path = tempfile.mkdtemp()
    >>> tf.saved_model.save(module, path)
    >>> converted = tf.saved_model.load(path)
    >>> converted(tf.constant([[1.0, 1.0]]), training=False).numpy().tolist()
    [[3.0, 5.0]]
    >>> [variable.name for variable in converted.trainable_variables]
    ['scale:0']

    Args:
        handle: what :func:`resolve` takes, of a TF1 Hub module or a SavedModel; or
            a :class:`ModuleSpec`.
        tags: which variant runs, a collection of tags or its only one; the empty
            set if None, of a SavedModel ``{"serve"}``, or its only graph.
        options: TensorFlow's, of how it loads a TF2 SavedModel. Without effect on
            what TensorFlow does not load: a TF1 Hub module or TF1 SavedModel.
        signature: what ``__call__`` runs; ``"default"`` if None, of a TF1
            SavedModel ``"serving_default"`` or its only signature, of a TF2
            SavedModel its own ``__call__``, if it has one. Without any of these
            there is nothing to call, only ``signatures``.
        output_key: what ``__call__`` returns of the signature: an output, or several in a
            dict, inner tensors by their published names among them, as of
            :class:`ModuleLayer`. ``"default"`` if None, all outputs where there is none
            such. What ``signatures`` return stays. Not for a TF2 SavedModel.
        training_tags: which variant runs in a call with ``training=True``;
            ``tags | {"train"}`` if None and there is such a variant, else
            ``tags``.
        safe_mode: whether to refuse a module that reaches outside its own
            graph (files, network, Python).
        trusted_ops: names of ops that it may reach outside with even so, as an
            audit tells them.

    Returns:
        A ``tf.Module`` with ``__call__(inputs, training=False)``, ``variables``,
        ``trainable_variables``, ``regularization_losses`` and ``signatures``
        (name -> function). Dtypes and shapes are those of the signatures. While a
        TF1 graph is being built, what belongs to it: of a TF1 Hub module a
        ``GraphModule``, which has ``signatures`` and ``variables`` alone.

    Raises:
        HandleError: the handle leads nowhere.
        DownloadError, ArchiveError, CacheError: the module could not be fetched.
        FormatError: what it leads to is neither a TF1 Hub module nor a SavedModel.
        TagsError: no variant has these tags; or none are given, and a TF1
            SavedModel has several graphs and none for serving.
        SignatureError: no such signature, output or inner tensor.
        CheckpointError: a variable has no value.
        UnsafeModuleError: safe mode refuses an op.
        UnknownOpError: TensorFlow lacks an op of the module.
        GraphModeError: an ``output_key`` while a TF1 graph is being built.
    """
    trust = Trust.of(safe_mode, trusted_ops)
    tags = {tags} if isinstance(tags, str) else tags
    if isinstance(handle, ModuleSpec):
        spec = handle
    else:
        path, name = resolve(handle), redact(str(handle))
        subject = subject_of(name)
        if file := tf2_saved_model(path, subject):
            if training_tags is not None:
                raise no_variants(subject, training_tags)
            if output_key is not None:
                raise _no_choice_of_outputs(subject, output_key)
            with tf.init_scope():
                return restore(file, tags, signature=signature, trust=trust, options=options)
        spec = read_tf1_spec(path, name, tags, all_variables=True)
    if spec.files.is_saved_model:
        tags = served_tags(spec.get_tags(), spec.subject) if tags is None else tags
        signature = signature or served_signature(spec.get_signature_names(tags))
    _need_graphs(spec)
    selection = select(
        spec,
        signature=signature,
        output_key=output_key,
        as_dict=not output_key and not _has_default_output(spec.variant(tags), signature),
        trainable_patterns=None,
        tags=tags,
        training_tags=training_tags,
    )
    with tf.init_scope():
        in_graph = not tf.executing_eagerly()
        if in_graph and output_key:
            raise _no_call(spec.subject, output_key)
        module = (GraphModule if in_graph else LoadedModule)(spec, selection, trust)
    module._is_hub_module_v1 = not spec.files.is_saved_model  # noqa: SLF001
    return module


def _has_default_output(variant: Variant, signature: str | None) -> bool:
    if signature is None and DEFAULT_SIGNATURE not in variant.signature_names:
        return False
    return DEFAULT_KEY in variant.signature(signature).outputs


def _no_choice_of_outputs(subject: Subject, output_key: Any) -> SignatureError:
    return SignatureError(
        "Cannot choose the output of a TF2 SavedModel that is loaded.",
        subject,
        expected="no output_key",
        found=f"output_key={output_key!r}",
        advice="take the output from what the call returns, or use hub.ModuleLayer(handle, "
        "output_key=...); inner tensors go by name in a TF1 Hub module alone",
    )


def _no_call(subject: Subject, output_key: Any) -> GraphModeError:
    return GraphModeError(
        "Cannot choose the output of a TF1 Hub module that is loaded in a TF1 graph.",
        subject,
        expected="no output_key: what is loaded there has signatures, and no call of its own",
        found=f"output_key={output_key!r}",
        advice="take the output from what the signature returns; of a hub.Module, inner tensors "
        "are in the graph, below its name and _apply_ and that of the signature",
    )


def _need_graphs(spec: ModuleSpec) -> None:
    if spec.files.facts_only:
        raise HandleError(
            f"Cannot load a {spec.subject.kind}: its graphs are not here.",
            spec.subject,
            expected="the module's folder, or a spec that was read from one",
            found="the spec of a layer that was made from a config alone",
            advice="pass the path of the module's folder",
        )
