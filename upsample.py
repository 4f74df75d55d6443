"""Upsampling ops for `[batch, height, width, channels]` images.

They run eagerly and in graphs, sizes unknown until run time included. As a script this upsamples a
picture:

    python upsample.py IN OUT --factor 2 --method bilinear
"""

import argparse
import sys
from pathlib import Path
from typing import NoReturn

if __name__ == "__main__":
    # As a module this imports nothing of the project, which is built on it. What only the script
    # runs imports it where it is used.
    from colorization.program import eager_execution, exit_code, import_tensorflow

    import_tensorflow(verbose=False)

import numpy as np
import tensorflow as tf
from PIL import Image

# Formats that hold grays of 16 bits.
_DEEP = ("PNG", "TIFF", "JPEG2000", "PPM")


def nearest(images: tf.Tensor, factor: int) -> tf.Tensor:
    """Repeats every pixel `factor` times in both directions.

    Args:
        images: `[batch, height, width, channels]`, any dtype and range.
        factor: integer, at least 1.

    Returns:
        `[batch, factor * height, factor * width, channels]`, dtype and values of `images`.

    Raises:
        ValueError: `images` is not of rank 4, or `factor` is not an integer of at least 1.
    """
    images = _checked(images, factor)
    _, height, width, _ = tf.unstack(tf.shape(images))
    # tf.repeat and tf.image.resize know fewer dtypes. Columns first: rows are then copied whole.
    wide = tf.gather(images, tf.range(width * factor) // factor, axis=2)
    result = tf.gather(wide, tf.range(height * factor) // factor, axis=1)
    return _with_shape(result, images.shape, factor)


def bilinear(images: tf.Tensor, factor: int) -> tf.Tensor:
    """Interpolates linearly, as a transposed convolution with fixed weights.

    The kernel is that of Long, Shelhamer and Darrell, "Fully convolutional networks for semantic
    segmentation" (2015): size `k = 2 * factor - factor % 2` in both directions, weight of tap i
    `1 - |i - (k - 1) / 2| / factor`. Pixel centres lie at half-integers, and beyond the border the
    picture goes on with its outermost pixels, as in `tf.image.resize`: a constant image stays so.

    Args:
        images: `[batch, height, width, channels]`, any floating-point dtype and range.
        factor: integer, at least 1.

    Returns:
        `[batch, factor * height, factor * width, channels]`, dtype and range of `images`. The
        weights have that dtype too: in bfloat16 they are rounded unless factor is a power of 2.

    Raises:
        ValueError: `images` is not of rank 4 or not floating-point, or `factor` is not an integer
            of at least 1.
    """
    images = _checked(images, factor)
    if not images.dtype.is_floating:
        raise ValueError(f"images must be floating-point, not {images.dtype.name}")
    size = 2 * factor - factor % 2
    taps = 1 - np.abs(np.arange(size) - (size - 1) / 2) / factor
    weights = tf.constant(np.outer(taps, taps)[:, :, None, None], images.dtype)
    # The convolution is depthwise: a full one would multiply mostly by the zeros between channels.
    weights = tf.tile(weights, [1, 1, tf.shape(images)[3], 1])
    # One pixel of padding is all that the result within the crop reaches for.
    padded = tf.pad(images, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    result = tf.nn.depthwise_conv2d_backprop_input(
        tf.shape(padded) * [1, factor, factor, 1], weights, padded, [1, factor, factor, 1], "SAME"
    )
    result = result[:, factor:-factor, factor:-factor]
    return _with_shape(result, images.shape, factor)


def upsample_conv(images: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Upsampling by 2 (nearest), then a 3x3 SAME convolution, as one transposed convolution.

    Upsampling turns a pixel into a 2x2 box, the convolution spreads each of its pixels by the
    flipped kernel. Together that is the flipped kernel convolved with the box: 4x4 weights at
    stride 2, hence 4 multiplications per result and pair of channels instead of 9.

    Args:
        images: `[batch, height, width, in]`, any range; float32, bfloat16 or another dtype that
            `tf.nn.conv2d_transpose` takes.
        kernel: `[3, 3, in, out]` as for `tf.nn.conv2d`, dtype of `images`. The 4x4 weights are
            summed in that dtype, so in bfloat16 they are rounded once more than the kernel.

    Returns:
        `[batch, 2 * height, 2 * width, out]`, dtype of `images`.

    Raises:
        ValueError: `images` is not of rank 4, `kernel` is not 3x3, or their channels or dtypes
            differ.
    """
    images = _checked(images)
    kernel = tf.convert_to_tensor(kernel, dtype_hint=images.dtype)
    if kernel.shape.rank != 4 or kernel.shape[:2] != [3, 3]:
        raise ValueError(f"kernel must be [3, 3, in, out], not {kernel.shape}")
    if not kernel.shape[2:3].is_compatible_with(images.shape[3:]):
        raise ValueError(f"kernel {kernel.shape} and images {images.shape} differ in channels")
    if kernel.dtype != images.dtype:
        raise ValueError(f"kernel is {kernel.dtype.name}, but images are {images.dtype.name}")
    # conv2d_transpose scatters where conv2d gathers, hence the flip; it wants [4, 4, out, in].
    flipped = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
    # Padded copies, for slices of one padded copy would take ten times as long to differentiate.
    weights = tf.add_n(
        [tf.pad(flipped, [[y, 1 - y], [x, 1 - x], [0, 0], [0, 0]]) for y in (0, 1) for x in (0, 1)]
    )
    batch, height, width, _ = tf.unstack(tf.shape(images))
    output_shape = tf.stack([batch, 2 * height, 2 * width, tf.shape(kernel)[3]])
    result = tf.nn.conv2d_transpose(images, weights, output_shape, strides=2, padding="SAME")
    return _with_shape(result, images.shape[:3] + kernel.shape[3:], 2)


def interpolation(
    size: tf.Tensor, start: tf.Tensor, stop: tf.Tensor, whole: tf.Tensor
) -> tf.Tensor:
    """Weights that enlarge a line of samples, those of `tf.image.resize` with "bicubic".

    Keys, "Cubic convolution interpolation for digital image processing" (1981), equation 15. As a
    matrix, because one product then enlarges many lines and channels at once, and any part of a
    picture by itself, several times faster than an op that visits pixel by pixel.

    Args:
        size: samples there are, at least 1.
        start: first sample wanted, counted in the enlarged line.
        stop: the one behind the last wanted.
        whole: samples of the whole enlarged line.

    Returns:
        float32 `[stop - start, size]`; each row sums to 1. Sample centres lie at half-integers;
        what would weigh samples beyond the border goes to those within.
    """
    size, whole = tf.cast(size, tf.float32), tf.cast(whole, tf.float32)
    places = (tf.cast(tf.range(start, stop), tf.float32) + 0.5) * (size / whole) - 0.5
    x = tf.abs(places[:, None] - tf.range(size)[None])
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    weights = tf.where(x < 1.0, near, tf.where(x < 2.0, far, 0.0))
    return weights / tf.reduce_sum(weights, axis=1, keepdims=True)


def guided_coefficients(
    images: tf.Tensor, guide: tf.Tensor, radius: int, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Coefficients by which images follow a guide: `slope * guide + offset` gives the images.

    The slope is that of the guided filter (He, Sun and Tang, "Guided image filtering", 2013,
    equations 5 and 8): the regression of the images on the guide in the windows around a pixel, cut
    at the border. The offset is not: the filter's would smooth the images, and what is to be
    enlarged has no detail to spare. Enlarged and applied to a larger guide, as the fast guided
    filter (He and Sun, 2015) does, they are the enlarged images plus the guide's finer detail.

    Args:
        images: float32 `[batch, height, width, channels]`.
        guide: float32 `[batch, height, width, 1]`.
        radius: of the windows, whose sides are `2 * radius + 1`.
        epsilon: regularization, in squared units of the guide: where it varies far less than the
            root of this, it does not count.

    Returns:
        `(slope, offset)`, both float32 `[batch, height, width, channels]`.
    """

    def mean(x: tf.Tensor) -> tf.Tensor:
        # SAME average pooling counts only pixels within the picture.
        return tf.nn.avg_pool2d(x, 2 * radius + 1, 1, "SAME")

    # Centred values, for the variance of large ones would cancel in float32.
    centred = guide - tf.reduce_mean(guide, axis=[1, 2], keepdims=True)
    mean_guide = mean(centred)
    variance = mean(centred * centred) - mean_guide * mean_guide
    covariance = mean(centred * images) - mean_guide * mean(images)
    slope = mean(covariance / (tf.maximum(variance, 0.0) + epsilon))
    return slope, images - slope * guide


def guided(
    images: tf.Tensor, small_guide: tf.Tensor, guide: tf.Tensor, radius: int, epsilon: float
) -> tf.Tensor:
    """Enlarges images to the size of a guide, whose edges they then follow.

    See `guided_coefficients`; these are enlarged by `tf.image.resize` with "bicubic".

    Args:
        images: float32 `[batch, height, width, channels]`.
        small_guide: float32 `[batch, height, width, 1]`, the guide at the size of the images.
        guide: float32 `[batch, any height, any width, 1]`.
        radius, epsilon: as for `guided_coefficients`.

    Returns:
        float32 `[batch, height of the guide, width of the guide, channels]`.
    """
    coefficients = tf.concat(guided_coefficients(images, small_guide, radius, epsilon), axis=-1)
    large = tf.image.resize(coefficients, tf.shape(guide)[1:3], "bicubic")
    slope, offset = tf.split(large, 2, axis=-1)
    return slope * guide + offset


def _checked(images: tf.Tensor, factor: int = 2) -> tf.Tensor:
    images = tf.convert_to_tensor(images)
    if images.shape.rank != 4:
        raise ValueError(f"images must be [batch, height, width, channels], not {images.shape}")
    if isinstance(factor, bool) or not isinstance(factor, (int, np.integer)) or factor < 1:
        raise ValueError(f"factor must be an integer of at least 1, not {factor!r}")
    return images


def _with_shape(result: tf.Tensor, shape: tf.TensorShape, factor: int) -> tf.Tensor:
    """Sets the sizes known when the graph is built, of which TensorFlow infers few by itself."""
    batch, height, width, channels = shape.dims
    result.set_shape([batch, height * factor, width * factor, channels])
    return result


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {' '.join(message.split())}\n")


def _read(path: Path, several: bool) -> tuple[list[Image.Image], list[str]]:
    """The upright pictures in sRGB as L, LA, RGB or RGBA; grays of more bits as I;16, opaque.

    Says what of the file is left out.

    Args:
        path: of a file, of which TIFF files may hold several pictures.
        several: whether all are wanted, not the first alone.

    Returns:
        The pictures, and why others cannot be read.

    Raises:
        UnreadablePhoto: none can be read.
    """
    from colorization.data.photo_files import read_file
    from colorization.decoding.decode import at_page, open_picture, page_offsets
    from colorization.errors import UnreadablePhoto

    data = read_file(str(path))
    offsets = page_offsets(data)
    pictures, failures = [], []
    for number, offset in enumerate(offsets if several else offsets[:1], 1):
        try:
            pictures.append(open_picture(at_page(data, offset)))
        except UnreadablePhoto as error:
            failures.append(f"page {number}: {error}" if len(offsets) > 1 else str(error))
    if not pictures:
        raise UnreadablePhoto("; ".join(failures))
    notes = [note for picture in pictures for note in picture.notes]
    if not several and len(offsets) > 1:
        notes.append(f"its {len(offsets) - 1} further pages are left out; name a .tif to write")
    for picture in pictures:
        if picture.alpha is not None and picture.image.mode == "I;16":
            notes.append("the transparency of 16 bits is left out")
        elif picture.alpha is not None:
            picture.image.putalpha(picture.alpha)
    for note in dict.fromkeys(notes):
        print(f"upsample.py: {path}: {note}", file=sys.stderr)
    return [picture.image for picture in pictures], failures


def _upsample(image: Image.Image, factor: int, method: str) -> Image.Image:
    pixels = np.atleast_3d(np.asarray(image))[np.newaxis]
    if method == "nearest":
        result = nearest(pixels, factor).numpy()
    elif image.mode in ("LA", "RGBA"):
        # Colours weigh by their alpha, or those of invisible pixels would bleed into visible ones.
        colour, alpha = np.split(pixels.astype(np.float32), [-1], axis=-1)
        colour, alpha = bilinear(colour * alpha, factor), bilinear(alpha, factor)
        result = tf.concat([tf.math.divide_no_nan(colour, alpha), alpha], -1).numpy()
    else:
        result = bilinear(pixels.astype(np.float32), factor).numpy()
    size = image.width * factor, image.height * factor
    return Image.frombytes(image.mode, size, result.round().astype(pixels.dtype).tobytes())


def _save(images: list[Image.Image], path: Path, picture_format: str) -> None:
    """Writes all of the file or nothing."""
    from colorization.files import atomic_write
    from colorization.lab.lab_numpy import to_bytes

    # Formats that hold several pictures hold grays of 16 bits, too.
    if picture_format not in _DEEP and images[0].mode == "I;16":
        print(f"upsample.py: {path}: of 8 bits, which is all it can hold", file=sys.stderr)
        images = [Image.fromarray(to_bytes(np.asarray(images[0])))]
    further = {"save_all": True, "append_images": images[1:]} if len(images) > 1 else {}
    with atomic_write(path) as temporary:
        images[0].save(temporary, picture_format, quality=95, **further)


def main() -> int:
    """Runs the command line and returns its exit code: 0, or 1 if pages are left out.

    Raises:
        SystemExit: the command line or a file is no good; the code is 2.
    """
    from colorization.errors import UnreadablePhoto, reason

    parser = _Parser(description="Upsamples a picture.")
    parser.add_argument("input", metavar="IN", type=Path, help="picture to read")
    parser.add_argument("output", metavar="OUT", type=Path, help="picture to write")
    parser.add_argument("--factor", type=int, default=2, help="integer, 1 to 64 (default: 2)")
    parser.add_argument("--method", choices=("nearest", "bilinear"), default="bilinear")
    args = parser.parse_args()
    if not 1 <= args.factor <= 64:  # TensorFlow crashes on kernels of some thousand pixels
        parser.error(f"argument --factor: must be 1 to 64, not {args.factor}")
    picture_format = Image.registered_extensions().get(args.output.suffix.lower())
    if picture_format not in Image.SAVE:
        parser.error(f"cannot write {args.output}: unknown picture extension")
    try:
        images, failures = _read(args.input, several=picture_format == "TIFF")
    except UnreadablePhoto as error:
        parser.error(f"cannot read {args.input}: {error}")
    lost = f"left out of {args.input}: {'; '.join(failures)}"
    if failures and args.output.exists() and args.output.samefile(args.input):
        parser.error(f"{lost}; name another file to write")
    largest = max(image.width * image.height for image in images)
    if largest * args.factor**2 > 2 * Image.MAX_IMAGE_PIXELS:
        # Pillow would refuse to read the result.
        parser.error(f"argument --factor: {args.factor} is too large for {args.input}")
    try:
        results = [_upsample(image, args.factor, args.method) for image in images]
        _save(results, args.output, picture_format)
    except Exception as error:
        parser.error(f"cannot write {args.output}: {reason(error)}")
    if failures:
        print(f"{parser.prog}: {lost}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    with eager_execution():
        sys.exit(exit_code(main))
