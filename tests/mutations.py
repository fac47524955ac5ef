"""Mistakes to plant in the real notebooks, by text, and the check that must catch each.

Each is the kind of slip that a port makes. Every one runs at profile smoke in its row's own
environment, see test_mutations.py.
"""

from dataclasses import dataclass

CNN, GRU, RESNET = "cifar10_cnn", "imdb_gru", "resnet50_features"


@dataclass(frozen=True)
class Mutation:
    """One mistake: in the notebook of a row, `old` becomes `new` wherever it stands."""

    row: str
    task: str
    mistake: str
    old: str
    new: str
    caught: str  # the check whose failure names it

    @property
    def name(self) -> str:
        return f"{self.row}-{self.task}-{self.mistake.replace(' ', '-')}"


def of(row: str, task: str, *mistakes: tuple[str, str, str, str]) -> list[Mutation]:
    return [Mutation(row, task, *each) for each in mistakes]


STEP = "        run.step(train_step(model, optimizer, x, y))"
TWICE = "        train_step(model, optimizer, x, y)\n" + STEP
EVERY_OTHER = (
    "        if len(run._pending) % 2:\n            run.step(0.0)\n            continue\n" + STEP
)
LEFT_OUT = "        if len(run._pending) == 1:\n            continue\n" + STEP
START = "load_weights(model, run.initial_weights())"
FROM_THE_CHECK = "load_weights(model, check.weights)"
ANOTHER_SEED = "load_weights(model, common.initial_weights(run.task.name, 1))"
TEST = "run.evaluate(lambda x: predict(model, x))"
TRAINING_SET = "run.evaluate(lambda x: predict(model, x_train[: len(x)]))"
HANDED_OVER = "run.trained(model, export_weights, predict)"
INITIAL = "run.trained(model, lambda model: run.initial_weights(), predict)"
OF_THE_CHECK = "run.trained(model, lambda model: check.weights, predict)"


def everywhere(row: str, task: str) -> list[Mutation]:
    """What can go wrong in the same words in every notebook that trains by its own loop."""
    return of(
        row,
        task,
        ("each batch twice", STEP, TWICE, "training"),
        ("every other batch left out", STEP, EVERY_OTHER, "training"),
        ("a batch left out", STEP, LEFT_OUT, "training"),
        *at_the_ends(task),
    )


def at_the_ends(task: str) -> list[tuple[str, str, str, str]]:
    return [
        ("from the check's weights", f"= {START}", f"= {FROM_THE_CHECK}", "training"),
        (
            "from another seed's weights",
            f"= {START}",
            f"= {ANOTHER_SEED}",
            "start|training",
        ),
        ("accuracy on training examples", TEST, TRAINING_SET, "predictions"),
        (
            "initial weights handed over",
            HANDED_OVER,
            INITIAL,
            "training" if task == CNN else "trained",
        ),
        (
            "other weights handed over",
            HANDED_OVER,
            OF_THE_CHECK,
            "training" if task == CNN else "trained",
        ),
    ]


DROPOUT_OFF = ("create_model(run.dropout), check.weights", "create_model((0, 0, 0)), check.weights")
DROPOUT_HALF = (
    "create_model(run.dropout), check.weights",
    "create_model((0.5, 0.5, 0.5)), check.weights",
)
OTHER_MODEL = (
    f"model = {START}",
    f"model = {START.replace('model', 'create_model((0, 0, 0))', 1)}",
)

PYTORCH = [
    *everywhere("pytorch", CNN),
    *of(
        "pytorch",
        CNN,
        ("eval left out of predict", "    model.eval()  # no dropout\n", "", "logits"),
        ("train left out of the step", "    model.train()\n", "", "dropout|masks"),
        ("eval in the step", "    model.train()\n", "    model.eval()\n", "dropout|masks"),
        ("no dropout", *DROPOUT_OFF, "dropout|masks"),
        ("other rates", *DROPOUT_HALF, "dropout|masks"),
        ("another model is trained", *OTHER_MODEL, "trained: this is not the model"),
        ("the second dropout missing", "self.dropout2(F.relu", "(F.relu", "dropout|masks"),
        (
            "not scaled",
            "x = self.dropout3(F.relu(self.fc1(x.flatten(1))))",
            "x = F.relu(self.fc1(x.flatten(1)))\n"
            "        x = x * (torch.rand_like(x) >= self.dropout3.p) if self.training else x",
            "dropout",
        ),
        (
            "scaled in inference",
            "x = self.dropout3(F.relu(self.fc1(x.flatten(1))))",
            "x, p = F.relu(self.fc1(x.flatten(1))), self.dropout3.p\n"
            "        x = x * (torch.rand_like(x) >= p) if self.training else x * (1 - p)",
            "logits",
        ),
        (
            "masks by channel",
            "(nn.Dropout(p) for p in dropout)",
            "(kind(p) for kind, p in zip((nn.Dropout2d, nn.Dropout2d, nn.Dropout), dropout))",
            "masks",
        ),
        (
            "the same masks",
            "    model.train()\n",
            "    model.train(), torch.manual_seed(1)\n",
            "masks",
        ),
        ("nesterov", "momentum=momentum)", "momentum=momentum, nesterov=True)", "losses"),
        (
            "weight decay",
            "momentum=momentum)",
            "momentum=momentum, weight_decay=1e-4)",
            "losses|weights",
        ),
        ("no momentum", "momentum=momentum)", "momentum=0)", "losses"),
        (
            "height and width swapped",
            "permute(0, 3, 1, 2)",
            "permute(0, 3, 2, 1)",
            "logits|losses",
        ),
        (
            "another file is read",
            'restored.load_state_dict(torch.load(run.path("cnn.pt"), weights_only=True))',
            "load_weights(restored, check.weights)",
            "saved",
        ),
    ),
    *everywhere("pytorch", GRU),
    *of(
        "pytorch",
        GRU,
        ("a beta", "betas=(beta1, beta2)", "betas=(beta1, 0.99)", "losses|weights"),
        ("another epsilon", "eps=epsilon", "eps=1e-7", "losses|weights"),
        ("AdamW", "torch.optim.Adam(", "torch.optim.AdamW(", "losses|weights"),
        (
            "the first state and not the last",
            "_, state = self.gru(self.embedding(x))",
            "state = self.gru(self.embedding(x))[0][:, :1].transpose(0, 1)",
            "logits",
        ),
    ),
    *of(
        "pytorch",
        RESNET,
        (
            "epsilon of the normalisation",
            "nn.BatchNorm2d(width, eps=1e-5)",
            "nn.BatchNorm2d(width, eps=1e-3)",
            "logits",
        ),
        (
            "stride in the first convolution",
            "self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)",
            "self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)\n"
            "        self.conv1.stride = (stride, stride)",
            "logits",
        ),
    ),
]

TENSORFLOW = [
    *everywhere("tensorflow", CNN)[:1],
    *of(
        "tensorflow",
        CNN,
        (
            "training in inference",
            "return self(x, training=False)",
            "return self(x, training=True)",
            "logits",
        ),
        (
            "inference in training",
            "model(x, training=True)",
            "model(x, training=False)",
            "dropout|masks",
        ),
        (
            "masks by channel",
            "tf.nn.dropout(x, dropout[0])",
            "tf.nn.dropout(x, dropout[0], noise_shape=[len(x), 1, 1, 50])",
            "masks",
        ),
        (
            "one mask for all examples",
            "tf.nn.dropout(x, dropout[0])",
            "tf.nn.dropout(x, dropout[0], noise_shape=[1, 16, 16, 50])",
            "masks",
        ),
        (
            "the same masks",
            "tf.nn.dropout(x, dropout[0])",
            "tf.nn.experimental.stateless_dropout(x, dropout[0], seed=[1, 2])",
            "masks",
        ),
        (
            "keep probabilities taken for rates",
            "self.dropout = dropout",
            "self.dropout = [1 - p if p else 0 for p in dropout]",
            "dropout|masks",
        ),
        ("a sum and not a mean", "loss = tf.reduce_mean(", "loss = tf.reduce_sum(", "losses"),
        ("nesterov", "momentum=momentum)", "momentum=momentum, nesterov=True)", "losses"),
    ),
    *of(
        "tensorflow",
        GRU,
        (
            "reset before the product",
            "tf.tanh(n + r * n_h)",
            "tf.tanh(n + tf.split((r * h) @ self.recurrent_kernel + self.recurrent_bias, 3, axis=1)[2])",
            "logits",
        ),
        (
            "gates in another order",
            "r, z, n = tf.split(step, 3, axis=1)",
            "z, r, n = tf.split(step, 3, axis=1)",
            "logits",
        ),
        (
            "state and candidate exchanged",
            "(1 - z) * tf.tanh(n + r * n_h) + z * h",
            "z * tf.tanh(n + r * n_h) + (1 - z) * h",
            "logits",
        ),
        (
            "epsilon on the uncorrected root",
            "root = tf.sqrt(v / correction2) + epsilon",
            "root = (tf.sqrt(v) + epsilon) / tf.sqrt(correction2)",
            "losses|weights",
        ),
    ),
]

KERAS_LOOP = "    batches = run.batches(x_train, y_train, epoch)\n"
KERAS = [
    *of(
        "keras-tensorflow",
        RESNET,
        (
            "variance and mean exchanged",
            'PARTS = ("weight", "bias", "running_mean", "running_var")',
            'PARTS = ("weight", "bias", "running_var", "running_mean")',
            "logits",
        ),
    ),
    *of("keras-tensorflow", CNN, *at_the_ends(CNN)[2:]),
    *of(
        "keras-tensorflow",
        CNN,
        ("a dropout missing", "            layers.Dropout(dropout[2]),\n", "", "dropout|masks"),
        (
            "masks by channel",
            "layers.Dropout(dropout[1])",
            "layers.SpatialDropout2D(dropout[1])",
            "masks",
        ),
        (
            "dropout before its pool",
            "            layers.MaxPooling2D(2),\n            layers.ReLU(),\n            layers.Dropout(dropout[1]),",
            "            layers.ReLU(),\n            layers.Dropout(dropout[1]),\n            layers.MaxPooling2D(2),",
            "masks",
        ),
        (
            "gaussian dropout",
            "layers.Dropout(dropout[2])",
            "layers.GaussianDropout(dropout[2])",
            "dropout|masks",
        ),
        ("nesterov", "momentum=momentum)", "momentum=momentum, nesterov=True)", "losses"),
        (
            "each batch twice",
            KERAS_LOOP,
            "    batches = (pair for pair in run.batches(x_train, y_train, epoch) for _ in range(2))\n",
            "training",
        ),
    ),
    *of(
        "keras-jax",
        GRU,
        ("epsilon left at its default", "epsilon=epsilon)", "epsilon=1e-7)", "losses|weights"),
        (
            "gates not swapped",
            "return np.concatenate([second, first, new])",
            "return np.concatenate([first, second, new])",
            "logits",
        ),
    ),
]

FLAX = [
    *everywhere("flax", CNN)[1:2],
    *of(
        "flax",
        CNN,
        (
            "dropout in inference",
            "model = nnx.view(model, deterministic=True)  # no dropout",
            "model = nnx.view(model, deterministic=False)",
            "logits",
        ),
        (
            "no dropout in training",
            "        return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()",
            "        still = nnx.view(model, deterministic=True)\n        return optax.softmax_cross_entropy_with_integer_labels(still(x), y).mean()",
            "dropout|masks",
        ),
        (
            "masks by channel",
            "(nnx.Dropout(p, rngs=rngs) for p in dropout)",
            "(nnx.Dropout(p, broadcast_dims=d, rngs=rngs) for p, d in zip(dropout, ((1, 2), (1, 2), ())))",
            "masks",
        ),
        ("pools of averages", ".max(axis=(2, 4))", ".mean(axis=(2, 4))", "logits|losses"),
        (
            "rates of others",
            "in dropout)",
            "in (dropout and (0.2, 0.2, 0.5) if any(dropout) else dropout))",
            "dropout",
        ),
    ),
    *everywhere("flax", GRU)[2:3],
    *of(
        "flax",
        GRU,
        ("AdamW", "optax.adam(learning_rate,", "optax.adamw(learning_rate,", "losses|weights"),
    ),
]

CNTK = [
    *everywhere("cntk", CNN)[:1],
    *of(
        "cntk",
        CNN,
        ("unit gain", "unit_gain=False", "unit_gain=True", "losses"),
        (
            "a dropout missing",
            "                C.layers.Dropout(dropout[0]),\n",
            "",
            "dropout|masks",
        ),
        (
            "a rate of another",
            "C.layers.Dropout(dropout[1])",
            "C.layers.Dropout(dropout[2])",
            "dropout|masks",
        ),
    ),
    *of(
        "cntk",
        GRU,
        ("gradients summed", "        minibatch_size=C.learners.IGNORE,\n", "", "losses|weights"),
        (
            "reset before the product",
            "r * (C.times(h, u_n) + c_n)",
            "C.times(r * h, u_n) + c_n",
            "logits",
        ),
    ),
]

GLUON = [
    *everywhere("gluon", CNN)[:2],
    *of(
        "gluon",
        CNN,
        (
            "dropout at all times",
            "self.dropout1 = nn.Dropout(dropout[0])",
            "self.dropout1 = lambda x: (mx.nd if isinstance(x, mx.nd.NDArray) else mx.sym).Dropout(x, p=dropout[0], mode='always')",
            "logits|losses",
        ),
        (
            "training mode left out",
            "    with autograd.record():",
            "    with autograd.record(train_mode=False):",
            "losses",  # whose gradients MXNet takes to be of another graph, with dropout or without
        ),
        (
            "masks by channel",
            "self.dropout2 = nn.Dropout(dropout[1])",
            "self.dropout2 = nn.Dropout(dropout[1], axes=(2, 3))",
            "masks",
        ),
        ("the batch counted as one", "optimizer.step(len(x))", "optimizer.step(1)", "losses"),
    ),
    *everywhere("gluon", GRU)[1:2],
]

# Keras 2, on any backend.
KERAS2 = [
    *of(
        "keras2-theano",
        CNN,
        (
            "kernels not turned round",
            'return kernel[::-1, ::-1] if K.backend() == "theano" else kernel',
            "return kernel",
            "roundtrip|logits|losses",
        ),
        ("the dialect of another backend", 'K.backend() == "theano" else', "False else", "losses"),
    ),
    *of(
        "keras2-tensorflow",
        GRU,
        (
            "gates of before 2.3.0",
            'recurrent_activation="sigmoid"',
            'recurrent_activation="hard_sigmoid"',
            "logits",
        ),
    ),
    *of(
        "keras2-tensorflow",
        RESNET,
        (
            "padding below and on the right",
            '    padding = "same" if stride == 1 else "valid"\n    if stride > 1 and kernel_size > 1:\n        x = layers.ZeroPadding2D(kernel_size // 2)(x)\n',
            '    padding = "same"\n',
            "logits",
        ),
    ),
]

TENSORFLOW1 = [
    *of(
        "tensorflow1",
        CNN,
        (
            "training is not asked for",
            "{model.x: x, model.y: y, model.training: True}",
            "{model.x: x, model.y: y}",
            "dropout|masks",
        ),
        (
            "nesterov",
            "MomentumOptimizer(learning_rate, momentum)",
            "MomentumOptimizer(learning_rate, momentum, use_nesterov=True)",
            "losses|weights",
        ),
    ),
    *of(
        "tensorflow1",
        GRU,
        (
            "the update gate weighs the new state",
            "new + update * (state - new)",
            "state + update * (new - state)",
            "logits",
        ),
        (
            "reset before the product",
            "hidden = tf.nn.bias_add(tf.matmul(state, kernel), bias)",
            "gate = tf.sigmoid(inputs[:, :100] + tf.matmul(state, kernel[:, :100]) + bias[:100])\n"
            "        hidden = tf.matmul(state, kernel[:, :200])\n"
            "        last = tf.matmul(gate * state, kernel[:, 200:]) / gate\n"
            "        hidden = tf.concat([hidden, last], axis=1) + bias",
            "logits",
        ),
    ),
    *of(
        "tensorflow1",
        RESNET,
        (
            "the default epsilon",
            "tf.layers.batch_normalization(x, epsilon=1e-5, ",
            "tf.layers.batch_normalization(x, ",
            "logits",
        ),
    ),
]

# Theano's convolution flips its filters; DyNet's trainers clip and are lazy; Sonnet's Adam is lazy.
LASAGNE_DYNET_SONNET = [
    *of(
        "lasagne",
        CNN,
        (
            "filters not flipped",
            "return array[:, :, ::-1, ::-1] if array.ndim == 4 else array.T",
            "return array if array.ndim == 4 else array.T",
            "losses",
        ),
        ("a dialect not declared", ', dialect={"pool_ties": "each"}', "", "losses"),
    ),
    *of(
        "lasagne",
        GRU,
        ("the new state weighed", "return n + z * (h - n)", "return h + z * (n - h)", "logits"),
    ),
    *of(
        "lasagne",
        RESNET,
        ("an epsilon of its own", "EPSILON = 1e-5", "EPSILON = 1e-4", "logits"),
    ),
    *of(
        "dynet",
        CNN,
        (
            "spatial axes not exchanged",
            "parameter.set_value(array.T if array.ndim == 4 else array)",
            "parameter.set_value(array.transpose(2, 3, 1, 0) if array.ndim == 4 else array)",
            "roundtrip",
        ),
    ),
    *of(
        "dynet",
        GRU,
        ("lazy Adam", "    trainer.set_sparse_updates(False)\n", "", "losses|weights"),
    ),
    *of("sonnet", GRU, ("lazy Adam", ", densify_gradients=True", "", "losses|weights")),
]

# Caffe2's IDEEP device has gradients in another layout than weights; its SGD is Nesterov's.
CAFFE2 = [
    *of(
        "caffe2",
        CNN,
        ("nesterov", "momentum=momentum, nesterov=0)", "momentum=momentum)", "losses"),
        (
            "gradients as they lie",
            "            training.net.StopGradient(gradient, gradient)\n",
            "            pass\n",
            "losses",
        ),
        (
            "not scaled",
            "return model.net.Mul([x, mask], name)",
            'x = model.net.Mul([x, mask], name + "_scaled")\n'
            "    return model.net.Scale(x, name, scale=1.0 - rate)",
            "dropout",
        ),
        (
            "height and width swapped",
            "workspace.FeedBlob(blob, weights[name], device_option=ideep)",
            "array = weights[name]\n"
            "        array = array.swapaxes(2, 3) if array.ndim == 4 else array\n"
            "        workspace.FeedBlob(blob, array, device_option=ideep)",
            "roundtrip",
        ),
    ),
    *of(
        "caffe2",
        GRU,
        (
            "reset before the product",
            "linear_before_reset=True):",
            "linear_before_reset=False):",
            "logits",
        ),
        (
            "gates swapped",
            '["gru/reset_gate_t_w", "gru/update_gate_t_w",',
            '["gru/update_gate_t_w", "gru/reset_gate_t_w",',
            "logits",
        ),
        ("lazy Adam", ", dense_gradient=1)", ")", "losses|weights"),
        ("steps counted from two", '"value": 0, ', '"value": 1, ', "losses"),
    ),
    *of(
        "caffe2",
        RESNET,
        ("epsilon", "epsilon=1e-5", "epsilon=1e-3", "logits|activations"),
        (
            "mean and variance exchanged",
            "workspace.FeedBlob(blob, weights[name], device_option=ideep)",
            'other = {"mean": "var", "var": "mean"}.get(name.rsplit("_", 1)[-1], "")\n'
            '        name = name.rsplit("_", 1)[0] + "_" + other if other else name\n'
            "        workspace.FeedBlob(blob, weights[name], device_option=ideep)",
            "roundtrip",
        ),
        (
            "the first weights kept",
            '    workspace.CreateNet(model.net, input_blobs=["x"])',
            "    for op in model.net.Proto().op:\n"
            '        kept = [arg for arg in op.arg if arg.name != "training_mode"]\n'
            "        del op.arg[:]\n"
            "        op.arg.extend(kept)\n"
            '    workspace.CreateNet(model.net, input_blobs=["x"])\n'
            "    compute(model, np.zeros((batch_size, 3, 224, 224), np.float32))",
            "logits",
        ),
    ),
]

# Of what an ONNX file says, and of what goes into Caffe2's workspace under its names.
ONNX_CAFFE2 = [
    *of(
        "onnx-caffe2",
        RESNET,
        ("epsilon", "epsilon=1e-5", "epsilon=1e-3", "logits|activations"),
        (
            "mean and variance exchanged",
            '"running_mean", "running_var")]',
            '"running_var", "running_mean")]',
            "logits|activations",
        ),
        (
            "stride in the first 1x1",
            'conv1", inputs, width, 1)\n    branch = graph.relu(graph.norm(branch, name + "bn1", width))\n'
            '    branch = graph.convolution(branch, name + "conv2", width, width, 3, stride)',
            'conv1", inputs, width, 1, stride)\n    branch = graph.relu(graph.norm(branch, name + "bn1", width))\n'
            '    branch = graph.convolution(branch, name + "conv2", width, width, 3)',
            "logits|activations",
        ),
    ),
    *of(
        "onnx-caffe2",
        GRU,
        (
            "reset before the product",
            "linear_before_reset=1, start",
            "linear_before_reset=0, start",
            "logits",
        ),
        (
            "gates in PyTorch's order",
            "np.concatenate([update, reset, new])[None]",
            "np.concatenate([reset, update, new])[None]",
            "roundtrip",
        ),
        (
            "biases exchanged",
            'for name in ("bias_ih_l0", "bias_hh_l0")',
            'for name in ("bias_hh_l0", "bias_ih_l0")',
            "roundtrip",
        ),
        (
            "the check's weights kept",
            "write(run.trained_by_reference(), file)",
            "run.trained_by_reference()",
            "trained",
        ),
        ("accuracy on training examples", TEST, TRAINING_SET, "predictions"),
    ),
]


# Its DNN clips unless told otherwise, and told so with a zero it updates what is still to be read.
TFLEARN = [
    *of(
        "tflearn",
        CNN,
        ("gradients clipped", "clip_gradients=2.0**30", "clip_gradients=5.0", "losses"),
        ("updates overtake gradients", "clip_gradients=2.0**30", "clip_gradients=0", "losses"),
        (
            "weight decay",
            '50, 3, activation="relu", name="conv1"',
            '50, 3, activation="relu", regularizer="L2", name="conv1"',
            "losses|weights",
        ),
        (
            "rates to drop taken for those to keep",
            "tflearn.dropout(x, 1 - dropout[0])",
            "tflearn.dropout(x, dropout[0] or 1.0)",
            "dropout|masks",
        ),
        (
            "logits taken for probabilities",
            'loss="softmax_categorical_crossentropy"',
            'loss="categorical_crossentropy"',
            "losses",
        ),
    ),
    *of(
        "tflearn",
        GRU,
        (
            "gates in another order",
            "reset, update, new = tf.split(inputs, 3, axis=1)",
            "update, reset, new = tf.split(inputs, 3, axis=1)",
            "logits",
        ),
    ),
]

MUTATIONS = [
    *PYTORCH,
    *TENSORFLOW,
    *KERAS,
    *FLAX,
    *CNTK,
    *GLUON,
    *KERAS2,
    *TENSORFLOW1,
    *LASAGNE_DYNET_SONNET,
    *CAFFE2,
    *ONNX_CAFFE2,
    *TFLEARN,
]

# What `python run_all.py test` plants; the rest with --all-mutations.
CORE = {
    f"{row}-{task}-{mistake.replace(' ', '-')}"
    for row, task, mistakes in (
        (
            "pytorch",
            CNN,
            (
                "a batch left out",
                "accuracy on training examples",
                "another model is trained",
                "each batch twice",
                "eval in the step",
                "eval left out of predict",
                "from another seed's weights",
                "masks by channel",
                "nesterov",
                "not scaled",
                "other rates",
                "other weights handed over",
                "the same masks",
                "the second dropout missing",
                "train left out of the step",
                "weight decay",
            ),
        ),
        ("pytorch", GRU, ("a beta", "each batch twice")),
        ("tensorflow", CNN, ("training in inference",)),
        ("tensorflow", GRU, ("reset before the product",)),
        ("keras-tensorflow", CNN, ("dropout before its pool",)),
        ("flax", CNN, ("no dropout in training",)),
        ("cntk", CNN, ("unit gain",)),
        ("gluon", CNN, ("training mode left out",)),
    )
    for mistake in mistakes
}
