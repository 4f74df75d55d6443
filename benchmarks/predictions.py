"""What a model predicts of photos at 112 x 112, beside the truth; for the benchmarks that ask."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def predictions(
    model_dir: str, photos: list[str], **settings: object
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Batches of photos with colour.

    Args:
      model_dir: folder of the model.
      photos: paths.
      settings: of the `TrainedNetwork`.

    Yields:
      L* in 0..100, float32 `[batch, 224, 224, 1]`; predicted and true a*b* in CIE units, float32
      `[batch, 112, 112, 2]`.
    """
    import tensorflow as tf

    from colorization.data.dataset import eval_dataset
    from colorization.data.lab_planes import LIGHTNESS_SIZE
    from colorization.data.report import Report
    from colorization.prediction.trained_network import TrainedNetwork

    trained = TrainedNetwork(model_dir, **settings)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        predict, load = trained.build()
        shape = [None, LIGHTNESS_SIZE, LIGHTNESS_SIZE, 1]
        lightness = tf.compat.v1.placeholder(tf.float32, shape)
        chroma = predict(lightness, lightness)
        load(session)
        data = eval_dataset(photos, 16, Report(len(photos)))
        batch = tf.compat.v1.data.make_one_shot_iterator(data).get_next()
        while True:
            try:
                features, labels = session.run(batch)
            except tf.errors.OutOfRangeError:
                return
            predicted = session.run(chroma, {lightness: features["lightness"]})
            yield features["lightness"], predicted, labels["chroma"]
