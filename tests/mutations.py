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
            "start" if task == CNN else "training",
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
            "        x = x * (torch.rand_like(x) < 0.5) if self.training else x / 2",
            "logits|dropout",
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
        ("another epsilon", "eps=epsilon", "eps=1e-7", "weights"),
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

MUTATIONS = [*PYTORCH]
