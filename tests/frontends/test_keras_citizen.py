"""In models and in training a module does what native layers do that compute the same."""

import os
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf

from helpers.twins import IDS, X, Y, embedding_module, embedding_native, module, native

# --- ways to build: each takes what makes the part in question ---


def sequential(make):
    return keras.Sequential([keras.Input((4,)), make(), keras.layers.Dense(2)])


def functional_among_ops(make):
    x = keras.Input((4,))
    y = make()(keras.ops.sin(x) * 2 + x)
    return keras.Model(x, keras.layers.Dense(2)(keras.ops.concatenate([y, keras.ops.exp(y)], 1)))


def two_of_one_module(make):
    x = keras.Input((4,))
    return keras.Model(x, keras.layers.Dense(2)(make()(x) - make()(-x)))


def called_three_times(make):
    x, part = keras.Input((4,)), make()
    return keras.Model(x, keras.layers.Dense(2)(part(x) * part(x + 1) - part(-x)))


def nested(make):
    inner = keras.Sequential([keras.Input((4,)), make(), keras.layers.Activation("relu")])
    x = keras.Input((4,))
    middle = keras.Model(x, inner(x) + 1)
    return keras.Sequential([keras.Input((4,)), middle, keras.layers.Dense(2)])


def subclassed(make):
    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.parts = {"encoder": [make()]}
            self.head = keras.layers.Dense(2)

        def call(self, x, training=False):
            return self.head(self.parts["encoder"][0](x, training=training))

    model = Model()
    model(X)
    return model


def inside_a_layer_that_hands_training_on_by_itself(make):
    class Wrapper(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.part = make()

        def call(self, x):
            return self.part(x)

    return keras.Sequential([keras.Input((4,)), Wrapper(), keras.layers.Dense(2)])


def time_distributed(make):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(12),
            layers.Reshape((3, 4)),
            layers.TimeDistributed(make()),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )


def frozen_with_dropout(make):
    dropout = keras.layers.Dropout(0.5, seed=1)
    return keras.Sequential([keras.Input((4,)), make(False), dropout, keras.layers.Dense(2)])


def trained_below_a_frozen_one(make):
    return keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(4), make(False), keras.layers.Dense(2)]
    )


def with_losses_of_activities(make):
    regularizer = keras.layers.ActivityRegularization(l1=0.1)
    return keras.Sequential([keras.Input((4,)), make(), regularizer, keras.layers.Dense(2)])


def with_a_train_step_of_its_own(make):
    class Model(keras.Model):
        def train_step(self, data):
            x, y = data
            with tf.GradientTape() as tape:
                found = self(x, training=True)
                loss = tf.add_n([3 * tf.reduce_mean((found - y) ** 2), *self.losses])
            weights = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, weights), weights)
            return {"own_loss": loss}

    plain = sequential(make)
    return Model(plain.inputs[0], plain.outputs[0])


MODELS = [
    sequential,
    functional_among_ops,
    two_of_one_module,
    called_three_times,
    nested,
    subclassed,
    inside_a_layer_that_hands_training_on_by_itself,
    time_distributed,
    frozen_with_dropout,
    trained_below_a_frozen_one,
    with_losses_of_activities,
    with_a_train_step_of_its_own,
]


# --- ways to train: each returns numbers that it saw ---


def compiled(model, rate=0.1, **options):
    model.compile(keras.optimizers.SGD(rate, momentum=0.9), "mse", **options)
    return model


def fit(model, *data, **options):
    options = {"batch_size": 5, "epochs": 2, "shuffle": False, **options}
    return model.fit(*(data or (X, Y)), verbose=0, **options).history


def fit_arrays(model):
    return fit(compiled(model))


def fit_validate_evaluate_predict(model):
    compiled(model, metrics=["mae"])
    return [
        fit(model, batch_size=4, validation_data=(X[:3], Y[:3])),
        model.evaluate(X, Y, verbose=0, batch_size=3),
        model.predict(X, verbose=0, batch_size=4),
        model.predict_on_batch(X[:2]),
        model.test_on_batch(X[:2], Y[:2]),
    ]


def fit_dataset(model):
    data = tf.data.Dataset.from_tensor_slices((X, Y)).batch(4)
    return fit(compiled(model), data, batch_size=None)


def fit_generator(model):
    def batches():
        while True:
            yield from ((X[i : i + 3], Y[i : i + 3]) for i in (0, 3, 6))

    return fit(compiled(model), batches(), batch_size=None, steps_per_epoch=4)


def fit_py_dataset(model):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return X[index::2], Y[index::2]

    return fit(compiled(model), Batches(), batch_size=None)


def fit_with_sample_weights(model):
    return fit(compiled(model), sample_weight=np.arange(10) / 5)


def fit_eagerly(model):
    return fit(compiled(model, run_eagerly=True))


def fit_several_steps_at_once(model):
    return fit(compiled(model, steps_per_execution=2))


def train_on_batches(model):
    compiled(model)
    return [model.train_on_batch(X[:n], Y[:n]) for n in (4, 4, 7, 1)]


def custom_loop(model, in_a_function=False):
    optimizer = keras.optimizers.Adam(0.05)

    def step(x, y):
        with tf.GradientTape() as tape:
            error = tf.reduce_mean((model(x, training=True) - y) ** 2)
            loss = tf.add_n([error, *model.losses])
        weights = model.trainable_weights
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    step = tf.function(step) if in_a_function else step
    return [float(step(tf.constant(X[:n]), tf.constant(Y[:n]))) for n in (4, 5, 6)]


def custom_loop_in_a_function(model):
    return custom_loop(model, in_a_function=True)


def toggled_between_compiles(model):
    seen = []
    for trainable in (False, True, False, True):
        model.layers[0].trainable = trainable
        seen += [fit(compiled(model), epochs=1), len(model.trainable_weights), len(model.losses)]
    return seen


def rate_from_a_schedule(model):
    return fit(compiled(model, keras.optimizers.schedules.ExponentialDecay(0.2, 2, 0.5)))


def rate_from_callbacks(model):
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / (epoch + 1)),
        keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=0, min_delta=10.0),
    ]
    seen = fit(compiled(model), epochs=3, callbacks=callbacks)
    model.optimizer.learning_rate = 0.5
    return [seen, fit(model, epochs=1)]


def stopped_early_at_the_best_weights(model):
    # The worst loss is called the best, so that it stops for sure.
    stop = keras.callbacks.EarlyStopping("loss", mode="max", patience=2, restore_best_weights=True)
    seen = fit(compiled(model), epochs=9, callbacks=[stop])
    assert len(seen["loss"]) == 3
    return seen


def checkpointed_at_the_best_weights(model):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "best.weights.h5")
        keep = keras.callbacks.ModelCheckpoint(
            path, "loss", mode="max", save_best_only=True, save_weights_only=True
        )
        seen = fit(compiled(model), epochs=3, callbacks=[keep])
        after = model.get_weights()
        model.load_weights(path)
    assert any((now != then).any() for now, then in zip(model.get_weights(), after, strict=True))
    return seen


def accumulated_clipped_averaged(model):
    optimizer = keras.optimizers.AdamW(
        0.05,
        weight_decay=0.1,
        global_clipnorm=0.3,
        use_ema=True,
        ema_momentum=0.5,
        gradient_accumulation_steps=2,
    )
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma"])
    model.compile(optimizer, "mse")
    return fit(model)


TRAININGS = [
    fit_validate_evaluate_predict,
    fit_dataset,
    fit_generator,
    fit_py_dataset,
    fit_with_sample_weights,
    fit_eagerly,
    fit_several_steps_at_once,
    train_on_batches,
    custom_loop,
    custom_loop_in_a_function,
    toggled_between_compiles,
    rate_from_a_schedule,
    rate_from_callbacks,
    stopped_early_at_the_best_weights,
    checkpointed_at_the_best_weights,
    accumulated_clipped_averaged,
]


def assert_close(found, expected):
    assert tf.nest.map_structure(np.shape, found) == tf.nest.map_structure(np.shape, expected)
    for one, other in zip(tf.nest.flatten(found), tf.nest.flatten(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def everything(build, train, make):
    """All numbers that training a model of a kind in some way gives."""
    keras.utils.set_random_seed(0)
    model = build(make)
    start = model.get_weights()
    seen = train(model)
    trained = model.get_weights()
    assert any((before != after).any() for before, after in zip(start, trained, strict=True))
    return {
        "start": start,
        "seen": seen,
        "trained": trained,
        "called": model(X).numpy(),
        "losses": sorted(float(loss) for loss in model.losses),
        "trainable": [tuple(w.shape) for w in model.trainable_weights],
    }


@pytest.mark.parametrize("build", MODELS)
def test_models(build):
    assert_close(everything(build, fit_arrays, module), everything(build, fit_arrays, native))


@pytest.mark.parametrize("train", TRAININGS)
def test_training(train):
    assert_close(everything(sequential, train, module), everything(sequential, train, native))


@pytest.mark.parametrize("optimizer", [keras.optimizers.SGD, keras.optimizers.Adam])
def test_training_some_rows_of_a_table(optimizer):
    """Native layers have sparse gradients there."""

    def numbers(make):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((2,), dtype="int32"), make(), keras.layers.Dense(2)])
        model.compile(optimizer(0.1, clipnorm=0.5), "mse")
        return [fit(model, IDS, Y, batch_size=4), model.get_weights()]

    assert_close(numbers(embedding_module), numbers(embedding_native))
