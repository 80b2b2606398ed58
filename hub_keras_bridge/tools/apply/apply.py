"""Runs a module over a file, batch by batch, in memory that does not grow."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hub_keras_bridge.errors import TableError
from hub_keras_bridge.files.progress import Progress
from hub_keras_bridge.frontends.compiled.choosing import TENSORFLOW
from hub_keras_bridge.tools.apply.batch_runner import BatchRunner
from hub_keras_bridge.tools.apply.formats import STANDARD
from hub_keras_bridge.tools.apply.overlapping import ahead, behind
from hub_keras_bridge.tools.apply.preflight import formats_of
from hub_keras_bridge.tools.apply.reader import read_batches
from hub_keras_bridge.tools.apply.results import open_writer, require_holds

_DEFAULT_BATCH_SIZE = 64


@dataclass(frozen=True)
class Applied:
    """What was written.

    Attributes:
        rows: how many examples.
        outputs: names of the outputs.
        engines: names of the inference engines that ran the module.
    """

    rows: int
    outputs: tuple[str, ...]
    engines: tuple[str, ...] = (TENSORFLOW,)


def apply_to_file(
    handle: Any,
    input_path: str | os.PathLike[str],
    output_path: str | os.PathLike[str],
    *,
    signature: str | None = None,
    output_key: str | Sequence[str] | None = None,
    tags: Collection[str] | None = None,
    batch_size: int | None = None,
    fixed: Mapping[str, Any] | None = None,
    input_format: str | None = None,
    output_format: str | None = None,
    limit: int | None = None,
    overwrite: bool = False,
    engine: str = TENSORFLOW,
    keep: str | os.PathLike[str] | None = None,
    safe_mode: bool = True,
    trusted_ops: Collection[str] = (),
    progress: Progress | None = None,
) -> Applied:
    """Runs one signature of a TF1 Hub module over a file of examples.

    What is read (a name that ends in ``.gz`` is unpacked):

    - ``.txt``: a line per example, for a signature with one string input;
    - ``.csv``: a column per input; ``x[0]``, ``x[1]``... for rows of numbers;
    - ``.jsonl``: an object with the inputs by name, or the only input's value,
      with nested lists for dimensions, of any length where the input is ragged;
    - ``.npy``, ``.npz``: an array (per input), examples along the first axis.

    A sparse input takes dense rows, whose zeros and empty strings are left out.
    A signature with a fixed batch size gets its last batch filled up with
    copies of the last example, whose results are dropped.

    What is written, a row per example in the same order: ``.npy`` (one output),
    ``.npz``, ``.jsonl`` or ``.parquet``. The file appears when it is complete.
    The next batches are read and the last ones written while one runs.

    >>> import tempfile, numpy as np, tensorflow as tf, hub_keras_bridge as hub
    >>> def module_fn():
    ...     x = tf.compat.v1.placeholder(tf.float32, [None, 2])
    ...     hub.add_signature(inputs=x, outputs=3 * x)
    >>> folder = tempfile.mkdtemp()
    >>> np.save(f"{folder}/in.npy", np.ones([5, 2], np.float32))
    >>> spec = hub.create_module_spec(module_fn)
    >>> apply_to_file(spec, f"{folder}/in.npy", f"{folder}/out.npy", batch_size=2)
    Applied(rows=5, outputs=('default',), engines=('tensorflow',))
    >>> float(np.load(f"{folder}/out.npy").sum())
    30.0

    Args:
        handle: what ``ModuleLayer`` takes.
        input_path: the file of examples; ``"-"`` for standard input.
        output_path: the file to make; ``"-"`` for standard output, row by row as they
            come, in JSON lines.
        signature: name of the signature; ``"default"`` if None.
        output_key: name or names of the outputs, or of inner tensors as they were
            published; if None, ``"default"`` for a .npy file, all outputs for others.
        tags: which variant; the empty set if None.
        batch_size: examples per batch; 64 if None, or what the signature fixes.
        fixed: values of inputs that are the same for all examples.
        input_format: ``"text"``, ``"csv"``, ``"jsonl"``, ``"npy"`` or ``"npz"``;
            by the file's name if None.
        output_format: ``"npy"``, ``"npz"``, ``"jsonl"`` or ``"parquet"``; by the
            file's name if None.
        limit: how many examples to take at most.
        overwrite: whether to replace a file that is there.
        engine: what runs the module: ``"tensorflow"``; or ``"auto"`` or a name in
            ``hub.ENGINES``, for which :func:`compile` tries it on the first batch. That
            takes seconds, and pays for a file on which TensorFlow takes longer.
        keep: a folder where :func:`compile` keeps what it made, for the next file.
        safe_mode: whether to refuse a module that reaches outside its graph.
        trusted_ops: names of ops that it may reach outside with even so, as an
            audit tells them.
        progress: told how many more bytes of the input file are done.

    Returns:
        How many rows were written, and the names of the outputs.

    Raises:
        TableError: the input cannot be read or does not fit the signature, or
            the output cannot be written; no file is left then.
        EngineError: the engine is not there, or cannot run the module.
        HubError: the module cannot be loaded; see ``ModuleLayer``.
    """
    source, target = os.fspath(input_path), os.fspath(output_path)
    reads, writes = formats_of(
        source, target, reads=input_format, writes=output_format, overwrite=overwrite
    )
    if output_key is None and writes == "npy":
        output_key = "default"
    runner = BatchRunner(
        handle,
        signature=signature,
        output_key=output_key,
        tags=tags,
        fixed=fixed,
        engine=engine,
        keep=keep,
        safe_mode=safe_mode,
        trusted_ops=trusted_ops,
    )
    require_holds(writes, runner.outputs)
    size = _batch_size(batch_size, runner)
    batches = read_batches(source, reads, runner.inputs, size, limit=limit, subject=runner.subject)
    # A thread that waits for a pipe or a terminal could not be ended.
    is_file = source != STANDARD and os.path.isfile(source)
    reading = ahead if is_file else contextlib.closing
    done = 0
    with (
        open_writer(target, writes, runner.outputs, overwrite=overwrite) as writer,
        behind(writer.write) as write,
        reading(batches) as examples,
    ):
        for batch in examples:
            where = f"examples {done + 1} to {done + batch.rows} of {source!r}"
            write(runner.run(batch.columns, batch.rows, where))
            done += batch.rows
            if progress and batch.bytes_read:
                progress(batch.bytes_read)
        if not done:
            raise TableError(
                f"Cannot run a TF1 Hub module over {source!r}: it is empty.",
                runner.subject,
                expected="an example or more",
                found="none",
                advice="check the path, and what writes the file",
            )
    return Applied(done, tuple(runner.outputs), runner.engines)


def _batch_size(wanted: int | None, runner: BatchRunner) -> int:
    fits = wanted is None or (wanted >= 1 and runner.fixed_size in (None, wanted))
    if not fits:
        raise TableError(
            "Cannot run a TF1 Hub module in batches of this size.",
            runner.subject,
            expected="1 or more" if runner.fixed_size is None else f"{runner.fixed_size}",
            found=str(wanted),
            advice="leave the batch size out",
        )
    return wanted or runner.fixed_size or _DEFAULT_BATCH_SIZE
