"""TF1 Hub modules in Apache Beam pipelines (extra ``[beam]``).

>>> from apache_beam.ml.inference.base import RunInference  # doctest: +SKIP
>>> handler = HubModelHandler("/path/to/module")  # doctest: +SKIP
>>> vectors = sentences | RunInference(handler)  # doctest: +SKIP
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from hub_keras_bridge.errors import ExtraError, TableError
from hub_keras_bridge.tools.apply.batch_runner import BatchRunner

try:
    from apache_beam.ml.inference.base import ModelHandler, PredictionResult
except ImportError as error:
    raise ExtraError(
        "Cannot import hub_keras_bridge.beam: Apache Beam is not there.",
        expected="the package apache-beam",
        found=str(error),
        advice="python -m pip install 'hub_keras_bridge[beam]'",
    ) from error


class HubModelHandler(ModelHandler[Any, PredictionResult, BatchRunner]):
    """Lets Beam's ``RunInference`` run a signature of a TF1 Hub module.

    The module is loaded once per process, by whichever worker thread comes
    first; ``large_model=True`` loads it once per machine. An element is a dict
    by input name, or the value of the only input, without the batch dimension.
    It becomes a ``PredictionResult`` whose ``inference`` is one output, an array
    without the batch dimension, or a dict of outputs. Beam chooses the size of
    batches, between ``min_batch_size`` and ``max_batch_size``; where examples of
    a batch must have one shape, see Beam's ``batch_length_fn`` or pad.

    For elements with keys wrap the handler in Beam's ``KeyedModelHandler``.

    Args:
        handle: the module, as the workers can reach it.
        signature: name of the signature; ``"default"`` if None.
        output_key: name of the output, or of an inner tensor; ``"default"`` if None.
        as_dict: whether to return all outputs by name.
        tags: which variant; the empty set if None.
        fixed: values of inputs that are the same for all examples.
        engine: what runs the module: ``"tensorflow"``; or ``"auto"`` or a name in
            ``hub.ENGINES``, for which :func:`hub_keras_bridge.compile` tries it on the
            first elements of a process.
        keep: a folder where ``compile`` keeps what it made, for the other processes of
            a machine.
        safe_mode: whether to refuse a module that reaches outside its graph.
        trusted_ops: names of ops that it may reach outside with even so, as an
            audit tells them.
        **kwargs: those of Beam's ``ModelHandler``, such as ``max_batch_size``.
    """

    def __init__(
        self,
        handle: str | os.PathLike[str],
        *,
        signature: str | None = None,
        output_key: str | None = None,
        as_dict: bool = False,
        tags: Collection[str] | None = None,
        fixed: Mapping[str, Any] | None = None,
        engine: str = "tensorflow",
        keep: str | os.PathLike[str] | None = None,
        safe_mode: bool = True,
        trusted_ops: Collection[str] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._handle = os.fspath(handle)
        self._load = functools.partial(
            BatchRunner,
            signature=signature,
            output_key=None if as_dict else output_key or "default",
            tags=tags,
            fixed=fixed,
            engine=engine,
            keep=keep,
            safe_mode=safe_mode,
            trusted_ops=trusted_ops,
        )

    def load_model(self) -> BatchRunner:
        """Loads the module; Beam calls this once per process.

        Raises:
            HubError: it cannot be loaded, has no such signature or output, or the
                engine is not there.
        """
        return self._load(self._handle)

    def run_inference(
        self,
        batch: Sequence[Any],
        model: BatchRunner,
        inference_args: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> Iterable[PredictionResult]:
        """Runs the signature on a batch of elements.

        Raises:
            InputError: an element does not fit the signature.
            TableError: the graph fails on them.
            EngineError: the engine cannot run the graph.
        """
        for example, inference in zip(batch, model.run_examples(batch), strict=True):
            yield PredictionResult(  # type: ignore[no-untyped-call]  # Beam's
                example, inference, self._handle
            )

    def validate_inference_args(self, inference_args: dict[str, Any] | None) -> None:
        """Refuses arguments: what is the same for all elements is ``fixed``.

        Raises:
            TableError: there are some.
        """
        if inference_args:
            raise TableError(
                "A HubModelHandler takes no inference_args.",
                expected="none",
                found=", ".join(map(repr, inference_args)),
                advice="pass values of inputs to HubModelHandler(..., fixed={...})",
            )

    def update_model_path(self, model_path: str | None = None) -> None:
        """Takes another module from now on, as Beam's model refresh asks for."""
        self._handle = model_path or self._handle

    def get_metrics_namespace(self) -> str:
        """Where Beam counts batches, their sizes and how long they take."""
        return "HubModule"
