"""sRGB <-> CIE L*a*b* as TensorFlow ops, and the sigmoid code of a*b*.

Every function takes any leading shape, works eagerly and in graphs, and has finite gradients
everywhere, black included. As a script it draws the three channels of a photo:

    python lab_convert.py PHOTO [--output FILE]

sRGB is that of IEC 61966-2-1; L*a*b* is that of CIE 15:2004 for illuminant D65 and the 2 degree
observer. L* runs from 0 (black) to 100 (white), a* from green to red and b* from blue to yellow;
within sRGB a* is -87..99 and b* -108..95.
"""

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":
    # As a module this imports nothing of the project, which is built on it. What only the script
    # runs imports it where it is used.
    from colorization.program import eager_execution, exit_code, import_tensorflow

    import_tensorflow(verbose=False)

import numpy as np
import tensorflow as tf

# The digits of scikit-image, so that results can be compared. With the white point divided in, the
# matrices lead to and from X/Xn, Y/Yn, Z/Zn.
_WHITE = np.array([[0.95047], [1.0], [1.08883]])
_XYZ_FROM_RGB = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
RATIOS_FROM_RGB = _XYZ_FROM_RGB / _WHITE
_INVERSE = np.linalg.inv(RATIOS_FROM_RGB)
_DELTA = 6 / 29


def rgb_to_lab(rgb: tf.Tensor) -> tf.Tensor:
    """Converts sRGB to CIE L*a*b*.

    L* = 116 f(Y/Yn) - 16, a* = 500 (f(X/Xn) - f(Y/Yn)), b* = 200 (f(Y/Yn) - f(Z/Zn)), where f(t) is
    the cube root of t above (6/29)^3 and 841/108 t + 16/116 up to it (CIE 15:2004); X, Y, Z are
    weighted sums of the sRGB values decoded to linear light (IEC 61966-2-1).

    Takes [..., 3], uint8 0..255 or float 0..1 (floats beyond are not clipped). Returns float32
    [..., 3]: L*, a*, b*. Raises ValueError if the last dimension is not known to be 3 or the dtype
    is another.
    """
    x, y, z = _cube_roots(rgb, RATIOS_FROM_RGB)
    return tf.concat([116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)], axis=-1)


def rgb_to_lightness(rgb: tf.Tensor) -> tf.Tensor:
    """L* alone, float32 [..., 1], without the cost of a* and b*; otherwise as `rgb_to_lab`."""
    (y,) = _cube_roots(rgb, RATIOS_FROM_RGB[1:2])
    return 116.0 * y - 16.0


def gray_to_lightness(gray: tf.Tensor) -> tf.Tensor:
    """L* of grays, in a third of the time that equal red, green and blue take.

    Takes [...], uint8 0..255, uint16 0..65535 or float 0..1. Returns float32 [...]. Raises
    ValueError if the dtype is another.
    """
    gray = tf.convert_to_tensor(gray)
    if not gray.dtype.is_floating and gray.dtype not in (tf.uint8, tf.uint16):
        raise ValueError(f"gray must be uint8, uint16 or float, not {gray.dtype.name}")
    limit = gray.dtype.max if gray.dtype.is_integer else 1
    return 116.0 * _cube_root(_linear(tf.cast(gray, tf.float32) / limit)) - 16.0


def rgb_to_chroma(rgb: tf.Tensor) -> tf.Tensor:
    """a* and b* alone, float32 [..., 2]; otherwise as `rgb_to_lab`."""
    x, y, z = _cube_roots(rgb, RATIOS_FROM_RGB)
    return tf.concat([500.0 * (x - y), 200.0 * (y - z)], axis=-1)


def lab_to_rgb(lab: tf.Tensor, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Converts CIE L*a*b* to sRGB: the inverse of `rgb_to_lab`, from the same sources.

    Where sRGB cannot show a colour, its red, green and blue are clipped one by one; what is clipped
    has gradient zero. All uint8 colours come back unchanged from L*a*b*.

    Takes float [..., 3]: L*, a*, b*. Returns [..., 3] of `dtype`: tf.float32 for 0..1, tf.uint8 for
    0..255, rounded. Raises ValueError if the last dimension is not known to be 3 or one of the
    dtypes is another.
    """
    _check_dtype(dtype, (tf.float32, tf.uint8))
    linear = tf.concat(_linear_rgb(*tf.split(_as_float(lab, "lab", 3), 3, axis=-1)), axis=-1)
    return _as_integers(_encoded(linear), dtype)


def planes_to_rgb(
    lightness: tf.Tensor, a: tf.Tensor, b: tf.Tensor, dtype: tf.DType = tf.float32
) -> tf.Tensor:
    """Converts planes of L*, a* and b* to sRGB; colours that it cannot show go through `fit_gamut`.

    For whole pictures: without values of three channels lying side by side before the last step
    it takes half the time of `lab_to_rgb`.

    Takes float32 [...] of equal shapes. Returns [..., 3] of `dtype`: tf.float32 for 0..1, tf.uint8
    for 0..255 or tf.uint16 for 0..65535, rounded. Raises ValueError if `dtype` is another.
    """
    _check_dtype(dtype, (tf.float32, tf.uint8, tf.uint16))
    linear = _linear_rgb(lightness, a, b)
    places, factor = _chroma_factors(lightness, a, b, linear)
    beyond = (tf.gather_nd(plane, places) for plane in (lightness, a, b))
    fitting = _linear_rgb(next(beyond), *(factor * chroma for chroma in beyond))
    linear = map(tf.tensor_scatter_nd_update, linear, [places] * 3, fitting)
    rgb = _encoded(tf.stack(list(linear)))
    return _as_integers(tf.transpose(rgb, [*range(1, rgb.shape.rank), 0]), dtype)


def fit_gamut(lightness: tf.Tensor, a: tf.Tensor, b: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Reduces the chroma of colours beyond sRGB until it can show them; L* and hue stay.

    Both a* and b* of such a colour are multiplied by the largest factor below 1, to within 2^-12,
    that leaves linear red, green and blue in 0..1; found by bisection, for at 0 the colour is a
    gray, which sRGB shows. Colours that lie within 0.0001 of linear 0..1 stay as they are.

    Takes float32 [...] of equal shapes, L* in 0..100. Returns a* and b*, float32 [...].
    """

    places, factor = _chroma_factors(lightness, a, b, _linear_rgb(lightness, a, b))
    factors = tf.tensor_scatter_nd_update(tf.ones_like(lightness), places, factor)
    return a * factors, b * factors


def encode_chroma(ab: tf.Tensor, scale: float) -> tf.Tensor:
    """The code of a*b* that the network learns: sigmoid(ab / scale).

    Takes float [..., 2]: a*, b*, and a positive scale in their units: -scale..scale gets the middle
    46 % of the code. Returns float32 [..., 2] in 0..1. Raises ValueError if the last dimension is
    not known to be 2, the dtype is not float or the scale not positive.
    """
    return tf.sigmoid(_as_float(ab, "ab", 2) / _positive(scale))


def decode_chroma(code: tf.Tensor, scale: float) -> tf.Tensor:
    """The a*b* of a code: scale * log(code / (1 - code)), the inverse of `encode_chroma`.

    Codes are clipped to 2^-24..1-2^-24, the largest float32 below 1, so 0 and 1 decode to -16.6 and
    16.6 times the scale, with gradient zero. Float32 being coarse near 1, a*b* comes back to within
    0.0001 * scale up to 8 times the scale, and 0.3 * scale at 16 times.

    Takes float [..., 2] in 0..1 and the scale of the encoding. Returns float32 [..., 2]: a*, b*.
    Raises ValueError as `encode_chroma` does.
    """
    code = tf.clip_by_value(_as_float(code, "code", 2), 2.0**-24, 1.0 - 2.0**-24)
    return _positive(scale) * (tf.math.log(code) - tf.math.log1p(-code))


def _as_float(values: tf.Tensor, name: str, channels: int, uint8: bool = False) -> tf.Tensor:
    values = tf.convert_to_tensor(values)
    if not values.dtype.is_floating and not (uint8 and values.dtype == tf.uint8):
        allowed = "uint8 or float" if uint8 else "float"
        raise ValueError(f"{name} must be {allowed}, not {values.dtype.name}")
    if not values.shape.rank or tf.compat.dimension_value(values.shape[-1]) != channels:
        raise ValueError(f"{name} must have shape [..., {channels}], not {values.shape}")
    if values.dtype == tf.uint8:
        # Arithmetic measures faster than looking the 256 values up with tf.gather.
        return tf.cast(values, tf.float32) / 255.0
    return tf.cast(values, tf.float32)


def _positive(scale: float) -> float:
    if not scale > 0:
        raise ValueError(f"scale must be positive, not {scale}")
    return scale


# Each curve is a line up to a knee and a power beyond it, written as line(min) + power(max). This
# takes half the time of tf.where, whose unused branch would put NaN into gradients.


def _cube_roots(rgb: tf.Tensor, rows: np.ndarray) -> list[tf.Tensor]:
    """f(t) as in `rgb_to_lab` for the ratios of rows of `RATIOS_FROM_RGB`, each [..., 1]."""
    linear = tf.split(_linear(_as_float(rgb, "rgb", 3, uint8=True)), 3, axis=-1)
    return [_cube_root(_weighted_sum(row, linear)) for row in rows]


def _linear(rgb: tf.Tensor) -> tf.Tensor:
    power = _power((tf.maximum(rgb, 0.04045) + 0.055) / 1.055, 2.4)
    return power + tf.minimum(rgb - 0.04045, 0.0) / 12.92


def _cube_root(t: tf.Tensor) -> tf.Tensor:
    knee = _DELTA**3
    return _power(tf.maximum(t, knee), 1 / 3) + 841 / 108 * tf.minimum(t - knee, 0.0)


def _linear_rgb(lightness: tf.Tensor, a: tf.Tensor, b: tf.Tensor) -> list[tf.Tensor]:
    """Linear red, green and blue of L*, a*, b*; outside 0..1 what sRGB cannot show."""
    y = (lightness + 16.0) / 116.0
    xyz = [_cube(f) for f in (y + a / 500.0, y, y - b / 200.0)]
    return [_weighted_sum(row, xyz) for row in _INVERSE]


def _chroma_factors(
    lightness: tf.Tensor, a: tf.Tensor, b: tf.Tensor, linear: list[tf.Tensor]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Places of colours outside sRGB, int64 `[n, rank]`, and factors that reduce their chroma."""
    # Such colours are mostly few, so that the search costs little.
    places = tf.where(tf.logical_not(_shown(linear)))
    lightness, a, b = (tf.gather_nd(plane, places) for plane in (lightness, a, b))

    def halve(step: tf.Tensor, factor: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        larger = factor + step
        shown = _shown(_linear_rgb(lightness, larger * a, larger * b))
        return step / 2, tf.where(shown, larger, factor)

    _, factor = tf.while_loop(
        lambda step, factor: step > 2.0**-13, halve, [tf.constant(0.5), tf.zeros_like(a)]
    )
    return places, factor


def _shown(linear: list[tf.Tensor]) -> tf.Tensor:
    red, green, blue = linear
    least = tf.minimum(tf.minimum(red, green), blue)
    most = tf.maximum(tf.maximum(red, green), blue)
    return tf.logical_and(least >= -1e-4, most <= 1.0001)


def _cube(f: tf.Tensor) -> tf.Tensor:
    root = tf.maximum(f, _DELTA)
    return root * root * root + 108 / 841 * tf.minimum(f - _DELTA, 0.0)


def _encoded(linear: tf.Tensor) -> tf.Tensor:
    power = 1.055 * _power(tf.maximum(linear, 0.0031308), 1 / 2.4) - 0.055
    return tf.clip_by_value(power + 12.92 * tf.minimum(linear - 0.0031308, 0.0), 0.0, 1.0)


def _check_dtype(dtype: tf.DType, allowed: tuple[tf.DType, ...]) -> None:
    if dtype not in allowed:
        names = " or ".join(f"tf.{tf.as_dtype(one).name}" for one in allowed)
        raise ValueError(f"dtype must be {names}, not {dtype}")


def _as_integers(rgb: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    return tf.cast(dtype.max * rgb + 0.5, dtype) if dtype.is_integer else rgb


def _power(base: tf.Tensor, exponent: float) -> tf.Tensor:
    # tf.pow is not vectorised on CPU.
    return tf.exp(exponent * tf.math.log(base))


def _weighted_sum(weights: np.ndarray, channels: list[tf.Tensor]) -> tf.Tensor:
    # This is as fast as a matrix product of each photo. It stays in float32 on GPUs, where products
    # may be TF32.
    (u, v, w), (x, y, z) = weights.tolist(), channels
    return u * x + v * y + w * z


def _draw(photo: np.ndarray, path: Path) -> None:
    """Writes a picture of L* as grays, a* and b* as colours of L* 65, each below its name."""
    from matplotlib.figure import Figure

    from colorization.files import atomic_write

    # A power of two, by which sizes in pixels become inches and come back exactly.
    dots_per_inch = 64
    lab = rgb_to_lab(photo).numpy()
    height, width, _ = photo.shape
    caption = 24
    total = np.array([3 * width, caption + height])
    figure = Figure(total / dots_per_inch, dpi=dots_per_inch)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in figure.canvas.get_supported_filetypes():
        raise ValueError("its name does not end as a picture's, such as .png")
    for i, name in enumerate(("L*", "a*: green to red", "b*: blue to yellow")):
        shown = np.full_like(lab, (65, 0, 0))
        shown[..., i] = lab[..., i]
        figure.figimage(lab_to_rgb(shown, tf.uint8).numpy(), i * width, 0, origin="upper")
        figure.text(*((i * width + 4, height + 7) / total), name, size=12)

    with atomic_write(path) as temporary:
        figure.savefig(temporary, format=kind)


def main() -> int:
    """Runs the command line and returns its exit code.

    Raises:
      UserError: a file is no good.
    """
    from colorization.data.photo_files import read_file
    from colorization.decoding.decode import open_photo
    from colorization.errors import UnreadablePhoto, UserError, reason

    parser = argparse.ArgumentParser(description="Draw L*, a* and b* of a photo side by side.")
    parser.add_argument("photo", metavar="PHOTO", help="larger ones are reduced to 1024 pixels")
    parser.add_argument("--output", metavar="FILE", help="default: the photo's name + _lab.png")
    options = parser.parse_args()
    output = options.output or f"{Path(options.photo).stem}_lab.png"
    try:
        photo = open_photo(read_file(options.photo))
    except UnreadablePhoto as error:
        raise UserError(f"{parser.prog}: cannot read {options.photo}: {error}") from error
    photo.thumbnail((1024, 1024))
    try:
        _draw(np.asarray(photo), Path(output))
    except (OSError, ValueError) as error:
        raise UserError(f"{parser.prog}: cannot write {output}: {reason(error)}") from error
    print(output)
    return 0


if __name__ == "__main__":
    with eager_execution():
        sys.exit(exit_code(main))
