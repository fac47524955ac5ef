"""What CNTK's ResNet-50 spends its time on: convolutions, and what stands between them."""

import cells
import numpy as np

SHAPES = {
    "1 x 1, 256 to 64, on 56 x 56": (56, 256, 64, 1),
    "3 x 3, 64 to 64, on 56 x 56": (56, 64, 64, 3),
    "1 x 1, 1024 to 256, on 14 x 14": (14, 1024, 256, 1),
    "3 x 3, 256 to 256, on 14 x 14": (14, 256, 256, 3),
}
BATCH = 32


def main():
    names = cells.names("resnet50_features", "cntk")
    C = names["C"]
    random = np.random.RandomState(0)
    x = random.normal(size=(BATCH, 3, 224, 224)).astype(np.float32)
    model = names["create_model"]()
    whole = cells.seconds(lambda: names["predict"](model, x), 3)

    def bare(x, kernel, outputs, stride, name, normalisation):
        window = {"strides": stride, "pad": True, "bias": False}
        return C.layers.Convolution2D((kernel, kernel), outputs, **window)(x)

    names["convolution"] = bare  # which its other functions find by this name
    without = names["create_model"]()
    rest = cells.seconds(lambda: names["predict"](without, x), 3)
    rows = [["time of what is there without batch normalisation", "share", rest / whole]]
    for what, (size, inputs, outputs, kernel) in SHAPES.items():
        pictures = random.normal(size=(BATCH, inputs, size, size)).astype(np.float32)
        layer = bare(C.input_variable((inputs, size, size)), kernel, outputs, 1, "", "")
        spent = cells.seconds(lambda: layer.eval(pictures), 5)  # noqa: B023
        flops = 2 * BATCH * size * size * kernel * kernel * inputs * outputs
        rows.append(["a convolution %s" % what, "gflops", flops / spent / 1e9])
    cells.tell(rows)


main()
