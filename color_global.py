"""The full model: the basic one of `color.py` with a global-features network and a fusion layer.

python color_global.py --mode train
python color_global.py --mode predict
"""

from color import colorization, low_level, mid_level
from colorization.main import run


def network(nn, lightness, params):
    """Predicts the chroma of photos, and what they show if there are classes of them.

    Args:
      nn: makes the layers, a `colorization.model.layers.Layers`.
      lightness: L* in 0..100, float32 `[batch, height, width, 1]`, sides multiples of 8
        (224 x 224 in training, or 112 x 112).
      params: `global_features` ("single" or "paper") and, for "single", `global_channels`;
        `class_names` if photos are to be classified.

    Returns:
      Logits of the chroma code, float32 `[batch, height / 2, width / 2, 2]`, and logits of the
      classes, float32 `[batch, classes]`, or None without classes.
    """
    low = low_level(nn, nn.input(lightness))  # 28 x 28 x 512
    mid = mid_level(nn, low)  # 28 x 28 x 256
    # At 224 x 224 these are `low` itself; smaller ones are enlarged, a style photo has its own.
    whole = nn.of_whole_photo(low_level, low, 28)  # 28 x 28 x 512
    features = global_features(nn, whole, params)  # 512
    x = nn.dense(features, 256, "global/dense3")  # 256
    x = nn.fuse(mid, x, 256, "fusion")  # 28 x 28 x 256
    logits = colorization(nn, x)  # 112 x 112 x 2
    if not params.get("class_names"):
        return logits, None
    return logits, classification(nn, features, len(params["class_names"]))


def global_features(nn, x, params):
    """Features of the photo as a whole: `[batch, 28, 28, 512]` to `[batch, 512]`.

    "paper" is the network of Iizuka et al., table 1b; "single" has one convolution for four.
    """
    if params["global_features"] == "paper":
        x = nn.conv(x, 512, "global/conv1", stride=2)  # 14 x 14
        x = nn.conv(x, 512, "global/conv2")
        x = nn.conv(x, 512, "global/conv3", stride=2)  # 7 x 7
        x = nn.conv(x, 512, "global/conv4")
    else:
        x = nn.conv(x, params["global_channels"], "global/conv1")  # 28 x 28
    x = nn.flatten(x)
    x = nn.dense(x, 1024, "global/dense1")
    return nn.dense(x, 512, "global/dense2")


def classification(nn, x, classes):
    """Class logits: `[batch, 512]` to `[batch, classes]`."""
    x = nn.dense(x, 256, "classification/dense1")
    return nn.class_logits(x, classes, "classification/output")


if __name__ == "__main__":
    run("color_global", network)
