"""Hostile and broken modules: a slice of the mutants, and one test per bug they found."""

import base64
import os
import random
import shutil
import sys
import zlib

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import any_pb2
from tensorflow.core.framework import node_def_pb2, types_pb2, variable_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2, tensor_bundle_pb2

import hub_keras_bridge as hub
from helpers.golden import Golden
from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.facts import partitions
from hub_keras_bridge.files import snappy
from hub_keras_bridge.files.checkpoint_index import check_index
from hub_keras_bridge.files.checkpoint_table import Damaged, read_entries
from hub_keras_bridge.frontends.keras3 import tf1_saving
from hub_keras_bridge.graphs import calls
from hub_keras_bridge.graphs.control_flow import Irregular
from hub_keras_bridge.graphs.control_flow.conds import functionalize_conds
from hub_keras_bridge.graphs.control_flow.subgraph import Library
from stress.hostile import bundle, mutants
from stress.hostile.bases import bases
from stress.hostile.exercise import Outcome
from stress.hostile.pool import try_mutants


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    return bases(tmp_path_factory.mktemp("bases"))


@pytest.fixture
def changed(tmp_path, small):
    """Changes a copy of a module: ``changed(name, change)`` returns its folder."""

    def make(name, change):
        folder = tmp_path / name
        shutil.copytree(small[name], folder)
        file = folder / "saved_model.pb"
        saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
        change(saved_model)
        file.write_bytes(saved_model.SerializeToString())
        return folder

    return make


def in_each_graph(change):
    def apply(saved_model):
        for meta_graph in saved_model.meta_graphs:
            change(meta_graph)

    return apply


def node_of(meta_graph, name):
    return next(node for node in meta_graph.graph_def.node if node.name == name)


class TestMutants:
    def test_a_slice(self):
        """Every third kind of change once; ``python -m stress mutants`` tries more."""
        numbers = range(0, len(mutants.MUTATIONS), 3)
        results = list(try_mutants(2026, numbers, processes=2))
        assert sorted(result.number for result in results) == list(numbers)
        assert [result for result in results if result.is_finding] == []
        assert {Outcome.REFUSED, Outcome.COMPUTED} <= {result.outcome for result in results}

    def test_workers_that_do_not_start(self, monkeypatch):
        monkeypatch.setattr(sys, "executable", shutil.which("false"))
        with pytest.raises(RuntimeError, match="A worker did not start"):
            list(try_mutants(2026, [0], processes=1))

    def test_a_number_makes_the_same_mutant_again(self, small, tmp_path):
        made = [mutants.make(3, 14, small, tmp_path / name) for name in ("one", "two")]
        contents = [
            {p.relative_to(m.folder): p.read_bytes() for p in m.folder.rglob("*") if p.is_file()}
            for m in made
        ]
        assert made[0].mutations == made[1].mutations
        assert contents[0] == contents[1]

    @pytest.mark.parametrize("name", mutants.MUTATIONS)
    def test_each_change_finds_something_to_change(self, small, tmp_path, name):
        def applies(base):
            folder = tmp_path / base
            shutil.copytree(small[base], folder / "module")
            (folder / "outside").mkdir()
            return mutants._apply(name, folder / "module", folder / "outside", random.Random(1))

        assert any(map(applies, small))


class TestFiles:
    @pytest.mark.parametrize(
        "file", ["saved_model.pb", "tfhub_module.pb", "assets/zoo_vocab_1.txt"]
    )
    def test_a_pipe_is_not_waited_for(self, tmp_path, file):
        folder = tmp_path / "module"
        shutil.copytree(Golden("text_embed").path, folder)
        (folder / file).unlink()
        os.mkfifo(folder / file)
        with pytest.raises(hub.FormatError, match="something that is no regular file"):
            hub.load_module_spec(folder)

    @pytest.mark.parametrize("file", ["variables.index", "variables.data-00000-of-00001"])
    def test_a_pipe_for_a_checkpoint(self, tmp_path, file):
        folder = tmp_path / "module"
        shutil.copytree(Golden("multi_io").path, folder)
        (folder / "variables" / file).unlink()
        os.mkfifo(folder / "variables" / file)
        with pytest.raises(hub.CheckpointError, match="Cannot open the checkpoint"):
            hub.ModuleLayer(folder, signature="fruit_to_pet", as_dict=True).build()


class TestCheckpointIndex:
    """What TensorFlow ends the process for is found before."""

    @pytest.fixture
    def module(self, tmp_path):
        shutil.copytree(Golden("text_embed").path, tmp_path / "module")
        return tmp_path / "module"

    @staticmethod
    def change(module, change):
        file = module / "variables" / "variables.index"
        entries = bundle.read_index(file)
        entry = tensor_bundle_pb2.BundleEntryProto.FromString(entries[b"emb/embeddings"])
        entries[b"emb/embeddings"] = change(entry) or entry.SerializeToString()
        bundle.write_index(file, entries)
        return str(module / "variables" / "variables")

    def test_what_is_written_is_read(self, module):
        prefix = self.change(module, lambda entry: None)
        check_index(prefix)
        found = tf.train.load_checkpoint(prefix).get_variable_to_shape_map()
        assert found == {"emb/embeddings": [56, 16]}

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda entry: b"\xff\xff", "is no BundleEntryProto"),
            (lambda entry: entry.slices.extend(entry.slices[:1]), "has a slice twice"),
            (lambda entry: setattr(entry.shape.dim[0], "size", -3), "has the shape"),
            (lambda entry: setattr(entry.shape.dim[0], "size", 2**61), "has the shape"),
            (lambda entry: entry.ClearField("slices"), "has 0 bytes for 896 values"),
            (lambda entry: setattr(entry, "offset", -1), "from byte -1 on"),
            (lambda entry: setattr(entry, "size", 10**9), "ends at byte 1000000000"),
            (
                lambda entry: entry.slices[0].extent.extend(entry.slices[1].extent[:1]),
                "a slice of 3 dimensions",
            ),
            (lambda entry: setattr(entry.slices[0].extent[0], "start", 50), "from 50 with length"),
        ],
    )
    def test_entries(self, module, change, message):
        prefix = self.change(module, change)
        with pytest.raises(Damaged, match=message):
            check_index(prefix)
        with pytest.raises(hub.CheckpointError, match=message):
            hub.ModuleLayer(module).build()

    def test_a_cut_data_file(self, module):
        data = module / "variables" / "variables.data-00000-of-00001"
        data.write_bytes(data.read_bytes()[:-5])
        with pytest.raises(hub.CheckpointError, match="of its data file, which has"):
            hub.ModuleLayer(module).build()

    def test_any_cut_index(self, module):
        content = (module / "variables" / "variables.index").read_bytes()
        for length in range(len(content)):
            with pytest.raises(Damaged):
                list(read_entries(content[:length]))


class TestSnappy:
    def test_a_checkpoint_that_is_compressed(self):
        """Bytes by hand, as google/snappy's format_description.txt has them."""
        literal = bytes([5 << 2]) + b"hello "
        copies = (
            bytes([(2 << 2) | 1, 6])
            + bytes([(5 << 2) | 2, 3, 0])
            + bytes([(3 << 2) | 3, 1, 0, 0, 0])
        )
        assert snappy.decompress(bytes([22]) + literal + copies) == b"hello hello lo lo     "

    def test_a_long_literal(self):
        text = bytes(range(256)) * 2
        header = bytes([0x80, 0x04, 61 << 2]) + (511).to_bytes(2, "little")
        assert snappy.decompress(header + text) == text

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\xff\xff\xff\xff\xff",
            b"\x05\x01\x01",
            b"\x05\x10abc",
            b"\x02\x10abcde",
            b"\x09\x00a",
        ],
    )
    def test_damaged(self, data):
        with pytest.raises(ValueError, match=r"it|bytes"):
            snappy.decompress(data)

    def test_no_more_than_the_limit(self):
        with pytest.raises(ValueError, match="2000 bytes are more than the 1000"):
            snappy.decompress(b"\xd0\x0f", limit=1000)


class TestFunctions:
    """TensorFlow 2.21 runs out of stack on these, or never comes back."""

    @staticmethod
    def add(meta_graph, bodies):
        """Functions of one float: name -> names of what it calls, one after another."""
        for name, callees in bodies.items():
            function = meta_graph.graph_def.library.function.add()
            function.signature.name = name
            function.signature.input_arg.add(name="x", type=types_pb2.DT_FLOAT)
            function.signature.output_arg.add(name="y", type=types_pb2.DT_FLOAT)
            source = "x"
            for number, callee in enumerate(callees):
                call = function.node_def.add(name=f"call_{number}", op="PartitionedCall")
                call.input.append(source)
                TestFunctions.set(call, callee)
                source = f"call_{number}:output:0"
            function.ret["y"] = source
        output = meta_graph.signature_def["default"].outputs["default"]
        call = meta_graph.graph_def.node.add(name="call", op="PartitionedCall")
        call.input.append(output.name)
        TestFunctions.set(call, next(iter(bodies)))
        output.name = "call:0"

    @staticmethod
    def set(call, callee):
        call.attr["Tin"].list.type.append(types_pb2.DT_FLOAT)
        call.attr["Tout"].list.type.append(types_pb2.DT_FLOAT)
        call.attr["f"].func.name = callee

    @pytest.mark.parametrize("bodies", [{"f": ["f"]}, {"f": ["g"], "g": ["h"], "h": ["f"]}])
    def test_that_call_themselves(self, changed, bodies):
        folder = changed("small", in_each_graph(lambda m: self.add(m, bodies)))
        with pytest.raises(hub.FormatError, match="comes to call itself"):
            hub.ModuleLayer(folder)
        with tf.Graph().as_default(), pytest.raises(hub.FormatError, match="call itself"):
            hub.Module(folder)([[1.0, 2.0]])

    def test_that_multiply(self, changed):
        bodies = {f"f{n}": [f"f{n + 1}"] * 2 for n in range(30)} | {"f30": []}
        folder = changed("small", in_each_graph(lambda m: self.add(m, bodies)))
        with pytest.raises(hub.FormatError, match="at most 10000 calls of functions") as caught:
            hub.ModuleLayer(folder)
        assert "more than that" in str(caught.value)

    def test_a_long_row_of_them_is_fine(self, changed):
        bodies = {f"f{n}": [f"f{n + 1}"] for n in range(2000)} | {"f2000": []}
        folder = changed("small", in_each_graph(lambda m: self.add(m, bodies)))
        assert hub.load_module_spec(folder)
        meta_graph = hub.load_module_spec(folder).variant(None).meta_graph
        calls.check_calls(meta_graph.graph_def)

    def test_with_other_inputs_than_their_ops_have(self, changed):
        def change(meta_graph):
            self.add(meta_graph, {"f": ["g"], "g": []})
            meta_graph.graph_def.library.function[0].node_def[0].input.append("x")

        folder = changed("small", in_each_graph(change))
        with pytest.raises(hub.FormatError, match="1 inputs of node 'call_0' in function 'f'"):
            hub.ModuleLayer(folder)


class TestGraphs:
    def test_two_nodes_of_one_name(self, changed):
        def change(meta_graph):
            meta_graph.graph_def.node.add().CopyFrom(node_of(meta_graph, "matmul"))

        folder = changed("small", in_each_graph(change))
        for load in (hub.ModuleLayer, hub.load):
            with pytest.raises(hub.FormatError, match="names of nodes are not unique") as caught:
                load(folder)
            assert caught.value.found == "several nodes named 'matmul'"
        with tf.Graph().as_default(), pytest.raises(hub.FormatError, match="not unique"):
            hub.Module(folder)([[1.0, 2.0]])

    def test_a_node_without_its_inputs(self, changed):
        """Found where v1 control flow is rewritten, before TensorFlow sees it."""

        def change(meta_graph):
            for node in meta_graph.graph_def.node:
                if node.op == "Switch":
                    del node.input[1:]

        folder = changed("tour", in_each_graph(change))
        with pytest.raises(hub.FormatError, match="Cannot prepare the graph") as caught:
            hub.ModuleLayer(folder, as_dict=True)
        assert str(folder) in str(caught.value)

    def test_an_assignment_to_what_is_no_variable(self, changed):
        def change(meta_graph):
            for node in meta_graph.graph_def.node:
                if node.op == "Assign":
                    node.input[:] = list(reversed(node.input))

        folder = changed("ref_vars", in_each_graph(change))
        with pytest.raises(hub.FormatError, match="a variable as the first input of"):
            hub.ModuleLayer(folder)

    def test_conditionals_in_conditionals_without_end(self):
        """Each node would tell apart as many cases as there are conditionals."""
        nodes = {"s0": node_def_pb2.NodeDef(name="s0", op="Placeholder")}
        for number in range(1, 3000):
            before = f"s{number - 1}"
            nodes[f"s{number}"] = node_def_pb2.NodeDef(
                name=f"s{number}", op="Switch", input=[before, before]
            )
        with pytest.raises(Irregular, match="'s66' lies in more than 64 conditionals"):
            functionalize_conds(nodes, Library(), ["s2999:1"])

    def test_table_entries_that_contradict(self, changed):
        def change(meta_graph):
            for node in meta_graph.graph_def.node:
                if node.attr["value"].tensor.string_val:
                    node.attr["value"].tensor.string_val[:] = [b"a", b"b", b"a"]

        layer = hub.ModuleLayer(changed("tour", in_each_graph(change)))
        with pytest.raises(hub.FormatError, match="Cannot make and fill table 'hash_table'"):
            layer(["a"])


class TestFacts:
    @pytest.mark.parametrize(
        "content", [b"\xff\xff", b"\x0a\x01\xff"], ids=["no message", "no UTF-8"]
    )
    def test_attachments_that_are_none(self, changed, content):
        def change(meta_graph):
            collection = meta_graph.collection_def["hub_module_attachments"]
            collection.bytes_list.value.append(content)

        spec = hub.load_module_spec(changed("small", in_each_graph(change)))
        with pytest.raises(hub.FormatError, match="collection 'hub_module_attachments'"):
            spec.get_attached_message("note", hub.ImageModuleInfo)

    def test_an_attachment_of_another_type(self, small):
        spec = hub.load_module_spec(small["tour"])
        with pytest.raises(hub.AttachmentError, match="a serialized ImageModuleInfo message"):
            spec.get_attached_message("note", hub.ImageModuleInfo)

    @pytest.mark.parametrize("key", ["while_context", "cond_context"])
    def test_contexts_that_are_none(self, changed, key):
        def change(meta_graph):
            meta_graph.collection_def[key].bytes_list.value.append(b"\xff")

        folder = changed("small", in_each_graph(change))
        with tf.Graph().as_default(), pytest.raises(hub.FormatError) as caught:
            hub.Module(folder)([[1.0, 2.0]])
        assert f"collection {key!r}" in str(caught.value)
        assert str(folder) in str(caught.value)

    def test_an_asset_that_is_no_message(self, changed):
        def change(meta_graph):
            packed = any_pb2.Any()
            packed.Pack(meta_graph_pb2.AssetFileDef(filename="x"))
            packed.value = b"\xff"
            meta_graph.collection_def["saved_model_assets"].any_list.value.append(packed)

        with pytest.raises(hub.FormatError, match="Expected: tensorflow"):
            hub.load_module_spec(changed("small", in_each_graph(change)))

    def refused_signature(self, changed, change):
        folder = changed(
            "small", in_each_graph(lambda m: change(m.signature_def["default"].inputs["default"]))
        )
        with pytest.raises(hub.FormatError) as caught:
            hub.load_module_spec(folder).get_input_info_dict()
        assert f"module {str(folder)!r}, tags {{}}, signature 'default'" in str(caught.value)
        return str(caught.value)

    def test_a_signature_of_negative_size(self, changed):
        def change(info):
            info.tensor_shape.dim[0].size = -(2**31)

        assert "[-2147483648, 2]" in self.refused_signature(changed, change)

    def test_a_signature_of_no_dtype(self, changed):
        def change(info):
            info.dtype = 999

        assert "999" in self.refused_signature(changed, change)

    def test_a_signature_with_other_components_than_its_kind_has(self, changed):
        def change(info):
            name = info.name
            spec = private_tf.encode_type_spec(tf.RaggedTensorSpec([None, None], tf.float32))
            info.composite_tensor.type_spec.CopyFrom(spec)
            info.composite_tensor.components.add(name=name)

        told = self.refused_signature(changed, change)
        assert "the 2 tensors that a RaggedTensorSpec consists of" in told

    def test_an_output_whose_tensors_are_none_of_its_kind(self, changed):
        def change(meta_graph):
            output = meta_graph.signature_def["default"].outputs["default"]
            dense = output.name
            output.coo_sparse.indices_tensor_name = dense
            output.coo_sparse.values_tensor_name = dense
            output.coo_sparse.dense_shape_tensor_name = dense

        layer = hub.ModuleLayer(changed("small", in_each_graph(change)))
        with pytest.raises(hub.FormatError, match="Cannot put together output 'default'") as caught:
            layer([[1.0, 2.0]])
        assert "the tensors of a sparse float32 [?, 1]" in str(caught.value)

    def test_a_type_spec_that_is_none(self, changed):
        def change(info):
            info.composite_tensor.type_spec.type_spec_class = 4
            info.composite_tensor.components.add(name="x:0")

        assert "No encoder for object" in self.refused_signature(changed, change)


class TestKerasConfig:
    @pytest.mark.parametrize(
        ("facts", "found"),
        [
            (b"", "cut short"),
            (b"no zlib", "incorrect header check"),
            (zlib.compress(b"\xff\xff"), "SavedModel"),
            (zlib.compress(bytes(1 << 27)), "more than 67108864 bytes"),
        ],
    )
    def test_facts_that_are_none(self, facts, found):
        description = {"identity": "none", "facts": base64.b64encode(facts).decode()}
        with pytest.raises(hub.FormatError, match="Cannot read what a Keras config") as caught:
            tf1_saving.revive(description, "/modules/embed", None, tf1_saving.Asked("default", ()))
        assert found in str(caught.value)
        assert "module '/modules/embed'" in str(caught.value)


class TestSlices:
    @pytest.mark.parametrize(
        ("slices", "found"),
        [
            ([((0, 0), (2, 3)), ((2, 0), (2, 3))], None),
            ([((0, 0), (2, 3)), ((1, 0), (2, 3))], "the slices at [0, 0] and [1, 0] overlap"),
            ([((0, 0), (2, 3))], "the slices leave gaps: 6 values of 12"),
            ([((3, 0), (2, 3))], "a slice at [3, 0] of shape [2, 3], which reaches outside"),
            ([((-1, 0), (2, 3))], "a slice at [-1, 0] of shape [2, 3], which reaches outside"),
            ([((0,), (2, 3))], "a slice at [0] of shape [2, 3]"),
        ],
    )
    def test_faults(self, slices, found):
        assert partitions.fault([4, 3], slices) == found

    @pytest.mark.parametrize(
        ("offset", "message"), [([1, 0], "overlap"), ([2**40, 0], "outside"), ([2], "at .2. of")]
    )
    def test_in_a_module(self, changed, offset, message):
        def change(meta_graph):
            for key in ("variables", "trainable_variables"):
                values = meta_graph.collection_def[key].bytes_list.value
                for position, value in enumerate(values):
                    definition = variable_pb2.VariableDef.FromString(value)
                    if definition.variable_name == "embedding/part_1:0":
                        definition.save_slice_info_def.var_offset[:] = offset
                        values[position] = definition.SerializeToString()

        with pytest.raises(hub.FormatError, match=message) as caught:
            hub.ModuleLayer(changed("tour", in_each_graph(change)))
        assert "partitioned variable 'embedding'" in str(caught.value)

    def test_whole_ones_still_load(self, small):
        found = hub.ModuleLayer(small["tour"], output_key="rows")(["a", "b", "c", "unheard"])
        np.testing.assert_array_equal(found, np.ones([4, 3]))


@pytest.mark.parametrize("dtype", [tf.variant, tf.resource])
def test_a_variable_without_values(tmp_path, dtype):
    def module_fn():
        x = tf.compat.v1.placeholder(tf.float32, [2])
        scale = tf.compat.v1.get_variable("scale", [2], use_resource=True)
        hub.add_signature(inputs=x, outputs=x * scale)

    hub.ModuleLayer(hub.create_module_spec(module_fn)).export_module(tmp_path / "m")
    file = tmp_path / "m/saved_model.pb"
    saved_model = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    for node in saved_model.meta_graphs[0].graph_def.node:
        if node.name == "scale":
            node.attr["dtype"].type = dtype.as_datatype_enum
    file.write_bytes(saved_model.SerializeToString())
    for load in (hub.ModuleLayer, hub.load, lambda path: hub.load_module_spec(path).variables):
        with pytest.raises(hub.FormatError, match=r"'scale' .* it holds no values") as caught:
            load(tmp_path / "m")
        assert caught.value.found == dtype.name
        assert caught.value.expected == "a dtype of numbers, strings or booleans"
