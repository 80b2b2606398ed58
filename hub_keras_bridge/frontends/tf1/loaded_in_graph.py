"""What load() returns while a TF1 graph is being built: signatures for that graph."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from hub_keras_bridge.errors import InputError
from hub_keras_bridge.errors.words import choices
from hub_keras_bridge.facts.signatures import DEFAULT_SIGNATURE
from hub_keras_bridge.facts.spec import ModuleSpec
from hub_keras_bridge.frontends.tf1.module import Module
from hub_keras_bridge.frontends.tf2.absent import absent
from hub_keras_bridge.frontends.tf2.keywords import Keywords
from hub_keras_bridge.frontends.tf2.signatures import SignatureFunction, Signatures
from hub_keras_bridge.plans.endpoint import Endpoint
from hub_keras_bridge.plans.program import Programs
from hub_keras_bridge.plans.selection import Selection
from hub_keras_bridge.plans.trust import Trust

# Of its own, so that it moves no variables of a hub.Module to another scope.
_SCOPE = "loaded"


# What objects of tf.saved_model.load have for TF1 SavedModels, and this has not.
_BY_NAME = (
    "in a TF1 graph, make a hub.Module and apply it; the graph then has all nodes by name, "
    "such as 'module_apply_default/NAME:0'"
)
_INSTEAD = {
    "asset_paths": "they are in the graph's collection ASSET_FILEPATHS",
    "graph": _BY_NAME,
    "initializer": "run tf.compat.v1.tables_initializer()",
    "prune": _BY_NAME,
    "restore": "run tf.compat.v1.global_variables_initializer(), or a Saver of its variables",
}


class GraphModule:
    """A TF1 Hub module in a TF1 graph; made by :func:`load`.

    There is nothing to call but its signatures. The graph's initializers give its
    variables the published values and fill its tables; none is trained. For more,
    there is :class:`Module`.

    Attributes:
        spec: what the module is.
        variables: of the graph.
        signatures: name -> function from keyword inputs to a dict of outputs, as
            those of a :class:`LoadedModule`.
        tensorflow_version: which TensorFlow published it.
        tensorflow_git_version: of what revision.
    """

    # As the original library names it; false of a TF1 SavedModel.
    _is_hub_module_v1 = True

    def __init__(self, spec: ModuleSpec, selection: Selection, trust: Trust) -> None:
        self.spec = spec
        publisher = spec.variant(selection.tags).published.meta_info_def
        self.tensorflow_version = publisher.tensorflow_version
        self.tensorflow_git_version = publisher.tensorflow_git_version
        arguments = trust.to_config()
        module = Module(spec, name=_SCOPE, tags=selection.tags, **arguments)
        self.variables: Sequence[tf.Variable] = module.variables
        make = functools.partial(GraphSignature, module)
        self.signatures = Signatures(Programs(spec), selection, trust, make)
        self._serve = selection.signature or DEFAULT_SIGNATURE

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(absent(self, name, _INSTEAD))

    @property
    def serve(self) -> SignatureFunction:
        """The signature in use; SignatureError if there is none."""
        return self.signatures[self._serve]


class GraphSignature:
    """Adds a signature of a module to its graph, in each call.

    Attributes:
        structured_input_signature: no positional arguments, and a ``tf.TensorSpec``
            for each keyword.
        structured_outputs: a ``tf.TypeSpec`` for each output.
    """

    def __init__(self, module: Module, endpoint: Endpoint) -> None:
        self._module = module
        self._endpoint = endpoint
        self._keywords = Keywords.of(endpoint.facts.inputs)
        specs = zip(self._keywords.flat, endpoint.facts.input_specs, strict=True)
        self.structured_input_signature = (
            (),
            {keyword: tf.TensorSpec(spec.shape, spec.dtype, keyword) for keyword, spec in specs},
        )
        self.structured_outputs = {
            key: info.type_spec for key, info in endpoint.facts.outputs.items()
        }

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Applies the signature.

        Args:
            *args: the only input, or nothing.
            **kwargs: the inputs, by keyword.

        Returns:
            Output name -> tensor of the graph.

        Raises:
            InputError: they do not fit.
        """
        only = len(args) == 1 and len(self._keywords.parts) == 1 and not kwargs
        values = dict.fromkeys(self._keywords.parts, args[0]) if only else self._named(args, kwargs)
        return self._module(values, self._endpoint.signature, as_dict=True)

    def _named(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Keywords' values as values of the inputs."""
        raw = {n: names[0] for n, names in self._keywords.parts.items() if len(names) == 1}
        given = {raw.get(keyword, keyword): value for keyword, value in kwargs.items()}
        values = {
            self._keywords.whole[k]: given.pop(k) for k in set(given) & set(self._keywords.whole)
        }
        for name, names in self._keywords.parts.items():
            if name not in values and given.keys() >= set(names):
                info = self._endpoint.facts.inputs[name]
                values[name] = info.pack([given.pop(keyword) for keyword in names])
        if args or given or values.keys() != self._keywords.parts.keys():
            raise InputError(
                "Cannot call a signature of a TF1 Hub module with these arguments.",
                self._endpoint.subject,
                expected=f"the keywords {choices(self._keywords.flat)}",
                found=choices(kwargs) + (f" and {len(args)} without a keyword" if args else ""),
                advice="pass each input by its keyword",
            )
        return values
