"""What a training step of Keras's GRU on PyTorch is made of."""

import profiled

profiled.tell("keras")
