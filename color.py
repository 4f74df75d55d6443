"""The basic model: low-level, mid-level and colorization networks of Iizuka et al. 2016, table 1.

python color.py --mode train
python color.py --mode predict
"""

from colorization.main import run


def network(nn, lightness, params):
    """Predicts the chroma of photos.

    Args:
      nn: makes the layers, a `colorization.model.layers.Layers`.
      lightness: L* in 0..100, float32 `[batch, height, width, 1]`, sides multiples of 8
        (224 x 224 in training, or 112 x 112).
      params: settings of the network, none of which matters here.

    Returns:
      Logits of the chroma code, float32 `[batch, height / 2, width / 2, 2]`, and None: this network
      does not tell classes apart.
    """
    x = low_level(nn, nn.input(lightness))  # 28 x 28 x 512
    x = mid_level(nn, x)  # 28 x 28 x 256
    return colorization(nn, x), None  # 112 x 112 x 2


def low_level(nn, x):
    """Low-level features: `[batch, 224, 224, 1]` to `[batch, 28, 28, 512]`."""
    x = nn.conv(x, 64, "low_level/conv1", stride=2)  # 112 x 112
    x = nn.conv(x, 128, "low_level/conv2")
    x = nn.conv(x, 128, "low_level/conv3", stride=2)  # 56 x 56
    x = nn.conv(x, 256, "low_level/conv4")
    x = nn.conv(x, 256, "low_level/conv5", stride=2)  # 28 x 28
    return nn.conv(x, 512, "low_level/conv6")


def mid_level(nn, x):
    """Mid-level features: `[batch, 28, 28, 512]` to `[batch, 28, 28, 256]`."""
    x = nn.conv(x, 512, "mid_level/conv1")
    return nn.conv(x, 256, "mid_level/conv2")


def colorization(nn, x):
    """Colour from features: `[batch, 28, 28, 256]` to logits `[batch, 112, 112, 2]`."""
    x = nn.conv(x, 128, "colorization/conv1")
    x = nn.upsample_conv(x, 64, "colorization/conv2")  # 56 x 56
    x = nn.conv(x, 64, "colorization/conv3")
    x = nn.upsample_conv(x, 32, "colorization/conv4")  # 112 x 112
    return nn.output(x, 2, "colorization/output")


if __name__ == "__main__":
    run("color", network)
