"""A module in Beam pipelines, against what the original library computed."""

import functools
import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import hub_keras_bridge as hub

beam = pytest.importorskip("apache_beam")

from apache_beam.ml.inference.base import KeyedModelHandler, RunInference  # noqa: E402
from apache_beam.options.pipeline_options import PipelineOptions  # noqa: E402
from apache_beam.testing import test_stream  # noqa: E402
from apache_beam.testing.util import assert_that  # noqa: E402
from apache_beam.transforms.window import FixedWindows  # noqa: E402

from hub_keras_bridge.beam import HubModelHandler  # noqa: E402


def report(keyed):
    """What came out for one element, and where."""
    key, result = keyed
    return json.dumps([key, result.example, result.inference.tolist(), os.getpid()])


def run(folder, elements, handler, mode, *, to_text=report):
    """Runs elements through a pipeline with two workers; returns what it wrote."""
    options = PipelineOptions(
        [], runner="DirectRunner", direct_num_workers=2, direct_running_mode=mode
    )
    with beam.Pipeline(options=options) as pipeline:
        _ = (
            pipeline
            | beam.Create(elements)
            | beam.Reshuffle()
            | RunInference(handler)
            | beam.Map(to_text)
            | beam.io.WriteToText(str(folder / "out"))
        )
    files = folder.glob("out*")
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture(autouse=True)
def _workers_find_this_file(monkeypatch):
    monkeypatch.syspath_prepend(os.path.dirname(__file__))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["multi_threading", "multi_processing"])
def test_two_workers(golden, tmp_path, mode):
    embed = golden("text_embed")
    sentences, expected = list(map(str, embed.inputs(0))), embed.outputs(0)["default"]
    elements = [(n, sentence) for n in range(40) for sentence in sentences]
    handler = KeyedModelHandler(HubModelHandler(embed.path, max_batch_size=8))
    found = run(tmp_path, elements, handler, mode)
    assert sorted((key, example) for key, example, _, _ in found) == sorted(elements)
    by_sentence = dict(zip(sentences, expected, strict=True))
    for _, example, vector, _ in found:
        np.testing.assert_allclose(vector, by_sentence[example], atol=1e-5)
    here = {process == os.getpid() for *_, process in found}
    assert here == {mode == "multi_threading"}


class Counted(HubModelHandler):
    """Writes down each load."""

    def __init__(self, counter, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._counter = counter

    def load_model(self):
        with open(self._counter, "a") as stream:
            stream.write(f"{os.getpid()}\n")
        return super().load_model()


def as_text(result):
    return json.dumps({name: array.tolist() for name, array in result.inference.items()})


@pytest.mark.slow
def test_dict_elements_and_one_load_for_all_threads(golden, tmp_path):
    fruit = golden("multi_io")
    inputs, outputs = fruit.inputs(0), fruit.outputs(0)
    elements = [dict(zip(inputs, row, strict=True)) for row in zip(*inputs.values(), strict=True)]
    handler = Counted(str(tmp_path / "loads"), fruit.path, signature="fruit_to_pet", as_dict=True)
    found = run(tmp_path, elements * 20, handler, "multi_threading", to_text=as_text)
    assert len((tmp_path / "loads").read_text().splitlines()) == 1
    assert len(found) == 20 * len(elements)
    rows = zip(outputs["cats"], outputs["dogs"], strict=True)
    expected = sorted((int(dogs), cats.tolist()) for cats, dogs in rows)
    seen = sorted((row["dogs"], row["cats"]) for row in found)[::20]
    assert [dogs for dogs, _ in seen] == [dogs for dogs, _ in expected]
    for (_, cats), (_, wanted) in zip(seen, expected, strict=True):
        np.testing.assert_allclose(cats, wanted, atol=1e-5)


@pytest.mark.slow
def test_one_model_for_all_processes(golden, tmp_path):
    embed = golden("text_embed")
    elements = [(n, str(sentence)) for n in range(40) for sentence in embed.inputs(0)]
    counter = tmp_path / "loads"
    handler = Counted(str(counter), embed.path, large_model=True, max_batch_size=8)
    found = run(tmp_path, elements, KeyedModelHandler(handler), "multi_processing")
    assert len(counter.read_text().splitlines()) == 1
    assert len(found) == len(elements)


@pytest.mark.slow
def test_unbounded_collection(golden, tmp_path):
    embed = golden("text_embed")
    sentences, expected = list(map(str, embed.inputs(0))), embed.outputs(0)["default"]
    stream = test_stream.TestStream()
    for time, sentence in enumerate(sentences):
        stream = stream.advance_watermark_to(time).add_elements([(time, sentence)])
    options = PipelineOptions([], runner="DirectRunner", streaming=True)
    with beam.Pipeline(options=options) as pipeline:
        results = (
            pipeline
            | stream.advance_watermark_to_infinity()
            | beam.WindowInto(FixedWindows(2))
            | RunInference(KeyedModelHandler(HubModelHandler(embed.path)))
            | beam.MapTuple(lambda key, result: (key, result.inference.tolist()))
        )
        assert_that(results, functools.partial(_is_close, expected=expected.tolist()))


def _is_close(found, expected):
    assert sorted(key for key, _ in found) == list(range(len(expected)))
    np.testing.assert_allclose([vector for _, vector in sorted(found)], expected, atol=1e-5)


def test_without_a_pipeline(golden):
    embed = golden("text_embed")
    handler = pickle.loads(pickle.dumps(HubModelHandler(embed.path, max_batch_size=4)))
    assert handler.batch_elements_kwargs() == {"max_batch_size": 4}
    results = list(handler.run_inference(list(embed.inputs(0)), handler.load_model()))
    assert [result.model_id for result in results] == [embed.path] * len(results)
    np.testing.assert_allclose(
        [result.inference for result in results], embed.outputs(0)["default"], atol=1e-5
    )


def test_by_an_engine(golden, tmp_path):
    pytest.importorskip("tf2onnx")
    pytest.importorskip("onnxruntime")
    embed = golden("text_embed")
    handler = HubModelHandler(embed.path, engine="onnxruntime", keep=tmp_path / "kept")
    model = pickle.loads(pickle.dumps(handler)).load_model()
    elements = list(embed.inputs(0))
    for some in (elements[:1], elements):
        found = [result.inference for result in handler.run_inference(some, model)]
        expected = embed.outputs(0)["default"][: len(some)]
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert model.engines == ("onnxruntime",)
    assert len(list((tmp_path / "kept").iterdir())) == 1
    with pytest.raises(hub.HubError, match=r"no such engine"):
        HubModelHandler(embed.path, engine="cuda").load_model()


def test_refreshed_model(golden):
    handler = HubModelHandler("/no/module")
    handler.update_model_path(golden("text_embed").path)
    (result,) = handler.run_inference(["the cat"], handler.load_model())
    assert result.inference.shape == (16,)


def test_what_does_not_fit(golden):
    handler = HubModelHandler(golden("text_embed").path)
    run = functools.partial(handler.run_inference, model=handler.load_model())
    with pytest.raises(hub.InputError, match="Cannot feed input 'default'"):
        list(run(["the cat", 7]))
    with pytest.raises(hub.TableError, match=r"pass values of inputs to HubModelHandler"):
        handler.validate_inference_args({"rate": 1})
    handler.validate_inference_args(None)
    with pytest.raises(hub.SignatureError, match="'nonsense'"):
        HubModelHandler(golden("text_embed").path, output_key="nonsense").load_model()


def test_the_package_does_not_import_beam():
    code = "import sys, hub_keras_bridge; print('apache_beam' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
