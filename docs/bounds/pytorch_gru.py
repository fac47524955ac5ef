"""What a training step of PyTorch's GRU is made of."""

import profiled

profiled.tell("pytorch")
