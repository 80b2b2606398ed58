"""The layer is a ``torch.nn.Module`` as Keras's own layers are."""

import copy
import io

import keras
import numpy as np
import pytest

import hub_keras_bridge as hub
from helpers.torch_twins import assert_close, inputs, module, spec, torch, weights

X = inputs()


def doubled(layer):
    with torch.no_grad():
        for parameter in weights(layer):
            parameter.mul_(2)
    return layer


def test_parameters_are_those_of_keras():
    layer = module(name="encoder")
    named = dict(layer.named_parameters())
    # PyTorch takes no dots in a name; Keras takes no slashes.
    names = {f"_torch_params.encoder/{name}" for name in ["dense:1|kernel", "dense:1|bias"]}
    assert names <= named.keys() == layer.state_dict().keys()
    kernel = layer.variable_map["dense.1/kernel"]
    assert named["_torch_params.encoder/dense:1|kernel"] is kernel.value
    trained = {name for name, parameter in named.items() if parameter.requires_grad}
    assert trained == names | {"_torch_params.encoder/spare"}


def test_only_what_is_trained_has_gradients():
    layer = module(trainable_patterns=["dense.1/bias"])
    layer(X).sum().backward()
    kernel, bias = weights(layer)
    assert kernel.grad is None
    assert bias.grad is not None
    layer.trainable = False
    assert not any(parameter.requires_grad for parameter in layer.parameters())
    layer.trainable = True
    assert [p for p in layer.parameters() if p.requires_grad] == [bias]


def test_state_dicts():
    layer, other = doubled(module(name="encoder")), module(name="encoder")
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file))
    assert_close(other(X), layer(X))
    whole = torch.nn.Sequential(module(name="encoder"), torch.nn.Linear(3, 1))
    whole[0].load_state_dict(layer.state_dict())
    again = torch.nn.Sequential(module(name="encoder"), torch.nn.Linear(3, 1))
    again.load_state_dict(whole.state_dict())
    assert_close(again(X), whole(X))


def test_copies_have_weights_of_their_own():
    layer = module()
    for original in (layer, keras.Sequential([keras.Input((2,)), layer])):
        before = original(X).detach()
        twin = copy.deepcopy(original)
        doubled(layer)
        assert_close(twin(X).detach(), before)
        assert not torch.equal(original(X), before)


def test_layers_that_share_weights_are_parts_of_each_other():
    layer = module()
    other = layer.with_signature(output_key="scaled")
    assert other.weights_of is layer
    assert_close(other(X), layer(X))
    together = torch.nn.ModuleList([layer, other])
    assert {id(p) for p in together.parameters()} == {id(p) for p in layer.parameters()}
    other(X).sum().backward()
    assert weights(layer)[0].grad is not None


def test_hooks_run():
    layer, ran = module(), []
    layer.register_forward_hook(lambda *_: ran.append("forward"))
    layer.register_full_backward_hook(lambda *_: ran.append("backward"))
    weights(layer)[0].register_hook(lambda gradient: ran.append(tuple(gradient.shape)))
    layer(X.clone().requires_grad_()).sum().backward()
    assert sorted(ran, key=str) == [(2, 3), "backward", "forward"]


def test_train_and_eval_are_not_asked_as_of_layers_of_keras():
    layer, native = module(), keras.layers.Dropout(0.5)
    for each in (layer, native):
        each.train()
        each(X)
    assert torch.equal(native(X), X)
    assert float(layer.variable_map["seen"].value) == 1
    layer.eval()(X, training=True)
    assert float(layer.variable_map["seen"].value) != 1


class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 12

    def __getitem__(self, index):
        x = X[index % 5]
        return x, x.sum().reshape(1)


class Calling(Numbers):
    def __init__(self, layer):
        self.layer = layer

    def __getitem__(self, index):
        return self.layer(X).detach(), index


@pytest.mark.parametrize("workers", [0, 2])
def test_fit_from_a_data_loader(workers):
    layer = module()
    model = keras.Sequential([keras.Input((2,)), layer, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    loader = torch.utils.data.DataLoader(Numbers(), 4, num_workers=workers)
    losses = model.fit(loader, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    seen = sum(float(x.sum()) for x, _ in map(Numbers().__getitem__, range(12)))
    assert float(layer.variable_map["seen"].value) == pytest.approx(1 + 3 * seen, abs=1e-5)


def test_a_call_in_a_worker_that_was_forked_is_an_error():
    layer = module()
    layer(X)
    loader = torch.utils.data.DataLoader(Calling(layer), 4, num_workers=1)
    with pytest.raises(hub.ForkError, match="Cannot run a TF1 Hub module in a forked process"):
        next(iter(loader))


def test_dtypes_and_devices_that_are_set():
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        layer = module()
        y = layer(X)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)
    assert (y.dtype, y.device.type) == (torch.float32, "cpu")
    with torch.autocast("cpu", torch.bfloat16):
        before = torch.nn.Linear(2, 2)(X)
        found = layer(before)
    found.sum().backward()
    assert (before.dtype, found.dtype) == (torch.bfloat16, torch.float32)
    assert weights(layer)[0].grad.dtype == torch.float32


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.encoder = hub.ModuleLayer(spec(), trainable=True, output_key=["default", "class"])
        self.head = keras.layers.Dense(1)

    def call(self, x, training=None):
        found = self.encoder(x, training=training)
        return {"head": self.head(found["default"]), "class": found["class"]}


def test_shapes_before_values():
    """Keras asks on the device "meta", and the layer may be built by that."""
    model = Subclassed()
    found = model.compute_output_spec(keras.KerasTensor((None, 2)))
    assert {name: (s.shape, s.dtype) for name, s in found.items()} == {
        "head": ((None, 1), "float32"),
        "class": ((None,), "int64"),
    }
    encoder = model.encoder
    assert all(weight.value.device.type == "cpu" for weight in encoder.weights)
    assert float(encoder.variable_map["seen"].value) == 1
    y = encoder(torch.empty(7, 2, device="meta"))["default"]
    assert (y.device.type, y.shape) == ("meta", (7, 3))
    np.testing.assert_allclose(keras.ops.convert_to_numpy(model(X)["class"]).shape, [5])


def test_compiled_around():
    """Of a compiled program calls are no part: what is around them is."""
    layer = module()
    model = torch.nn.Sequential(layer, torch.nn.Linear(3, 1))
    compiled = torch.compile(model, backend="eager")
    compiled(X).sum().backward()
    slope = weights(layer)[0].grad.clone()
    model.zero_grad()
    model(X).sum().backward()
    assert_close(slope, weights(layer)[0].grad)
    model = keras.Sequential([keras.Input((2,)), layer])
    with pytest.warns(UserWarning, match="jit_compile"):
        model.compile("sgd", "mse", jit_compile=True)
    model.fit(X, torch.ones(5, 3), verbose=0)


@pytest.mark.parametrize(
    "call",
    [
        lambda layer: torch.jit.trace(layer, X),
        lambda layer: torch.export.export(layer, (X,)),
        lambda layer: torch.func.vmap(layer)(X[None]),
    ],
    ids=["jit", "export", "vmap"],
)
def test_what_pytorch_traces_is_refused(call):
    with pytest.raises(hub.BackendError) as caught:
        call(module())
    first, *_, last = str(caught.value).splitlines()
    assert (
        first == "Cannot call a TF1 Hub module on a tensor of PyTorch that TensorFlow cannot read."
    )
    assert "call the layer outside of torch.jit, torch.export and torch.func" in last


def test_a_sparse_tensor_is_refused():
    layer = module()
    with pytest.raises(hub.BackendError, match=r"layout torch\.sparse_coo") as caught:
        layer(X.to_sparse())
    assert "pass x.to_dense()" in str(caught.value)
    assert_close(layer(X.to_sparse().to_dense()), layer(X))
