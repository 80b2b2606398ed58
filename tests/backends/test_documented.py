"""The programs of docs/backends.md run, each on the backend that it is for."""

import os
import re

import numpy as np
import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.backends import BACKEND, numbers
from helpers.documents import programs
from helpers.golden import scale_fn

v1 = tf.compat.v1
ANYWHERE, LOADED, *LOOPS = programs("docs/backends.md")
LOOP_ON = {re.match(r"# KERAS_BACKEND=(\w+)\n", program)[1]: program for program in LOOPS}


@pytest.fixture
def run(tmp_path, monkeypatch, publish):
    """Runs programs that know some names, in a folder with a module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", BACKEND)

    def run(module_fn, name, known, *texts):
        os.rename(publish(module_fn), tmp_path / name)
        for text in texts:
            exec(text.replace("/path/to", str(tmp_path)), known)
        return known

    return run


def words_fn():
    texts = v1.placeholder(tf.string, [None])
    table = v1.get_variable("table", [50, 4], initializer=v1.glorot_uniform_initializer(1))
    ids = tf.strings.to_hash_bucket_fast(texts, 50)
    hub.add_signature(inputs=texts, outputs=tf.gather(table, ids))


def test_text(run):
    known = {"texts": ["a good film", "a dull one"], "labels": np.array([1, 0])}
    known = run(words_fn, "text_module", known, ANYWHERE, LOADED)
    rows = hub.text_to_bytes(known["texts"], 64)
    start = hub.ModuleLayer("text_module")(known["texts"])
    assert (numbers(known["model"].layers[0](rows)) != numbers(start)).any()
    known["model"].fit(rows, known["labels"], verbose=0)


@pytest.mark.skipif(BACKEND not in LOOP_ON, reason="fine_tuning.md has one for TensorFlow")
def test_loop(run):
    """It goes where gradients by hand lead: of mean((x * w - y) ** 2), in steps of 0.1."""
    x, y = np.float32([[1, 2], [3, 4]]), np.float32([[0, 1], [1, 0]])
    if BACKEND == "torch":
        import torch

        x, y = torch.from_numpy(x), torch.from_numpy(y)
    known = run(scale_fn, "module", {"batches": [(x, y)] * 3}, LOOP_ON[BACKEND])
    x, y, weight = np.asarray(x), np.asarray(y), np.float32([3, 3])
    for _ in range(3):
        weight -= 0.1 * (2 / x.size * (x * weight - y) * x).sum(0)
    found = numbers(known["layer"].variable_map["scale"])
    np.testing.assert_allclose(found, weight, rtol=1e-6)
