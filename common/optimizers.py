"""The optimisers of the specification in NumPy, with the forms in which frameworks have them."""

import numpy as np


def sgd_with_momentum(weights, learning_rate, momentum):
    """Return step(gradients), which updates `weights` in place: v = momentum v + g; w -= rate v."""
    velocity = {name: np.zeros_like(array) for name, array in weights.items()}

    def step(gradients):
        for name, array in weights.items():
            velocity[name] = momentum * velocity[name] + gradients[name]
            array -= learning_rate * velocity[name]

    return step


def adam(weights, learning_rate, beta1, beta2, epsilon, epsilon_at="corrected"):
    """Return step(gradients), which updates `weights` in place. Kingma and Ba, 2015, algorithm 1.

    epsilon_at "uncorrected" is the form of the end of its section 2, with the step size corrected
    for both biases: the same but for the place of epsilon.
    """
    first = {name: np.zeros_like(array) for name, array in weights.items()}
    second = {name: np.zeros_like(array) for name, array in weights.items()}
    count = [0]

    def step(gradients):
        count[0] += 1
        correction1, correction2 = 1 - beta1 ** count[0], 1 - beta2 ** count[0]
        for name, array in weights.items():
            gradient = gradients[name]
            first[name] *= beta1
            first[name] += (1 - beta1) * gradient
            second[name] *= beta2
            second[name] += (1 - beta2) * gradient * gradient
            if epsilon_at == "corrected":
                root = np.sqrt(second[name] / correction2) + epsilon
            else:
                root = (np.sqrt(second[name]) + epsilon) / np.sqrt(correction2)
            array -= learning_rate / correction1 * first[name] / root

    return step
