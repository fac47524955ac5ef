"""The NumPy reference: gradients against finite differences, layers against their definitions."""

import itertools

import numpy as np
import pytest

from common import expected, layers, reference, tasks, weights


def random_weights(shapes, scale=0.5):
    random = np.random.RandomState(0)
    return {name: random.uniform(-scale, scale, shape) for name, shape in shapes.items()}


def small_cnn():
    kernels = {"conv1": (2, 3), "conv2": (3, 2), "conv3": (2, 3), "conv4": (3, 2)}
    shapes = {name + ".weight": (*sizes, 3, 3) for name, sizes in kernels.items()}
    shapes.update({name + ".bias": sizes[:1] for name, sizes in kernels.items()})
    shapes.update({"fc1.weight": (5, 12), "fc1.bias": (5,), "fc2.weight": (4, 5), "fc2.bias": (4,)})
    random = np.random.RandomState(1)
    return random_weights(shapes), random.uniform(size=(3, 3, 8, 8)), np.array([0, 3, 1])


def small_gru():
    shapes = {"embedding.weight": (7, 3), "gru.weight_ih_l0": (6, 3), "gru.weight_hh_l0": (6, 2)}
    shapes.update({"gru.bias_ih_l0": (6,), "gru.bias_hh_l0": (6,)})
    shapes.update({"fc.weight": (2, 2), "fc.bias": (2,)})
    words = np.random.RandomState(1).randint(0, 7, (4, 5))
    return random_weights(shapes, scale=1.0), words, np.array([0, 1, 1, 0])


def numeric_gradient(task, parameters, name, x, y, dialect=None, step=1e-6):
    array, gradient = parameters[name], np.zeros_like(parameters[name])
    for index in np.ndindex(array.shape):
        kept, losses = array[index], []
        for change in (step, -step):
            array[index] = kept + change
            losses.append(reference.loss_and_gradients(task, parameters, x, y, dialect)[0])
        array[index] = kept
        gradient[index] = (losses[0] - losses[1]) / (2 * step)
    return gradient


def test_gradients_of_the_cnn_agree_with_finite_differences():
    parameters, x, y = small_cnn()
    gradients = reference.loss_and_gradients("cifar10_cnn", parameters, x, y)[1]
    for name in parameters:
        numeric = numeric_gradient("cifar10_cnn", parameters, name, x, y)
        np.testing.assert_allclose(gradients[name], numeric, rtol=1e-5, atol=1e-8, err_msg=name)


def test_the_gradient_of_a_max_pool_goes_to_one_of_the_largest_or_to_each():
    x = np.array([[[[3.0, 3.0, 1.0, 2.0], [3.0, 0.0, 2.0, 1.0]]]])
    for ties, wanted in (
        ("one", [[5, 0, 0, 7], [0, 0, 0, 0]]),
        ("each", [[5, 5, 0, 7], [5, 0, 7, 0]]),
    ):
        y, cache = layers.max_pool(x, ties)
        assert y.ravel().tolist() == [3, 2]
        dx = layers.max_pool_backward(np.array([[[[5.0, 7.0]]]]), cache)
        assert dx[0, 0].tolist() == wanted


def test_where_numbers_stay_equal_the_gradient_is_that_of_one_of_them():
    """All weights change the numbers of an area of one colour alike."""
    parameters, x, y = small_cnn()
    x[:] = x[:, :, :1, :1]
    numeric = numeric_gradient("cifar10_cnn", parameters, "conv2.bias", x, y)
    for ties, right in (("one", True), ("each", False)):
        dialect = {"pool_ties": ties}
        gradients = reference.loss_and_gradients("cifar10_cnn", parameters, x, y, dialect)[1]
        assert np.allclose(gradients["conv2.bias"], numeric, rtol=1e-5, atol=1e-8) == right


def test_whichever_of_the_largest_gets_it_the_steps_of_the_check_are_the_same(monkeypatch):
    def last(x, ties):
        y, largest = layers.max_pool(x[:, :, ::-1, ::-1], ties)
        return y[:, :, ::-1, ::-1], largest[:, :, ::-1, ::-1, ::-1, ::-1]

    start = expected.in_float64(weights.check_weights("cifar10_cnn"))
    batches = [(x[:4].astype(np.float64), y[:4]) for x, y in expected.examples("cifar10_cnn")[1]]
    wanted = reference.train("cifar10_cnn", start, batches)[1]
    monkeypatch.setattr(reference, "max_pool", last)
    for name, array in reference.train("cifar10_cnn", start, batches)[1].items():
        np.testing.assert_allclose(array, wanted[name], rtol=0, atol=1e-13, err_msg=name)


GRU_DIALECTS = list(itertools.product(("after", "before"), ("separate", "shared", "input")))


@pytest.mark.parametrize(("reset", "biases"), GRU_DIALECTS)
def test_gradients_of_the_gru_agree_with_finite_differences(reset, biases):
    parameters, x, y = small_gru()
    dialect = {"gru_reset": reset, "gru_biases": biases}
    gradients = reference.loss_and_gradients("imdb_gru", parameters, x, y, dialect)[1]
    lacking = {"separate": 0, "shared": 4, "input": 6}[biases]
    for name in parameters:
        numeric = numeric_gradient("imdb_gru", parameters, name, x, y, dialect)
        if name == "gru.bias_hh_l0":
            numeric[:lacking] = 0  # what the dialect does not have is not trained
        np.testing.assert_allclose(gradients[name], numeric, rtol=1e-5, atol=1e-8, err_msg=name)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (7, 2, 3), (1, 2, 0)]
)
def test_convolution_is_the_sum_of_its_definition(kernel, stride, padding):
    random = np.random.RandomState(0)
    x, weight = random.normal(size=(2, 3, 8, 8)), random.normal(size=(4, 3, kernel, kernel))
    y = reference.convolution(x, weight, stride=stride, padding=padding)[0]
    padded = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    for n, out, row, column in np.ndindex(y.shape):
        window = padded[
            n, :, row * stride : row * stride + kernel, column * stride : column * stride + kernel
        ]
        np.testing.assert_allclose(y[n, out, row, column], np.sum(window * weight[out]))


def test_sgd_with_momentum_takes_the_steps_of_its_formula():
    parameters = {"w": np.array([1.0])}
    step = reference.sgd_with_momentum(parameters, learning_rate=0.1, momentum=0.9)
    step({"w": np.array([2.0])})
    np.testing.assert_allclose(parameters["w"], 1 - 0.1 * 2)
    step({"w": np.array([1.0])})
    np.testing.assert_allclose(parameters["w"], 1 - 0.1 * 2 - 0.1 * (0.9 * 2 + 1))


@pytest.mark.parametrize(("form", "scale"), [("corrected", 1.0), ("uncorrected", np.sqrt(1e-3))])
def test_the_first_step_of_adam_shows_where_epsilon_is_added(form, scale):
    # After one step the corrected root is |g|; the uncorrected one is sqrt(1 - beta2) |g|.
    parameters, gradient, epsilon = {"w": np.zeros(1)}, 1e-8, 1e-8
    reference.adam(parameters, 0.001, 0.9, 0.999, epsilon, form)({"w": np.array([gradient])})
    expected = -0.001 * scale * gradient / (scale * gradient + epsilon)
    np.testing.assert_allclose(parameters["w"], expected, rtol=1e-9)


@pytest.mark.parametrize("biases", ["shared", "input"])
def test_merged_biases_leave_the_output_as_it_was(biases):
    parameters, x, _ = small_gru()
    dialect = {"gru_biases": biases}
    parameters = reference.representable_weights("imdb_gru", parameters, dialect)
    held = reference.held_weights("imdb_gru", parameters, dialect)
    np.testing.assert_allclose(
        reference.logits("imdb_gru", held, x),
        reference.logits("imdb_gru", parameters, x),
        rtol=1e-12,
    )
    assert not held["gru.bias_hh_l0"][:4].any()


def test_an_unknown_dialect_is_refused():
    with pytest.raises(ValueError, match="no dialect gru_reset='never'"):
        reference.full_dialect("imdb_gru", {"gru_reset": "never"})
    with pytest.raises(ValueError, match="no dialect adam_epsilon"):
        reference.full_dialect("cifar10_cnn", {"adam_epsilon": "uncorrected"})


def count(task, statistics=False):
    return sum(
        int(np.prod(shape))
        for name, shape in weights.SPECS[task].items()
        if ("running" in name) == statistics
    )


def test_the_networks_have_the_parameters_of_the_specification():
    assert count("cifar10_cnn") == 3_441_592
    assert count("imdb_gru") == 3_818_302
    assert count("resnet50_features") == 23_508_032
    assert count("resnet50_features", statistics=True) == 53_120


def test_the_cost_of_a_step_is_that_of_the_specification():
    assert tasks.TASKS["cifar10_cnn"].flops_per_example == pytest.approx(370.8e6, rel=1e-3)
    assert tasks.TASKS["imdb_gru"].flops_per_example == pytest.approx(60.8e6, rel=1e-3)
    # 4.09 billion multiply-adds is the figure usually quoted for ResNet-50 v1.5, its last layer
    # included.
    features = tasks.TASKS["resnet50_features"].inference_flops_per_example
    assert features / 2 + 2048 * 1000 == pytest.approx(4.09e9, rel=1e-2)
