"""The official tf.estimator on every supported TensorFlow, 2.15 to 2.21.

    from colorization.estimator import tf_estimator

Up to 2.15, TensorFlow includes `tf.estimator`, and `tf_estimator` is that module. Later versions
dropped it, but its own package, tensorflow-estimator, still runs on them if three small modules are
supplied; `tf_estimator` then comes from there. TensorFlow itself is never altered.
"""

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import Any

import tensorflow as tf

_PACKAGE = "tensorflow_estimator"


def _supply_package() -> None:
    """Makes the modules of tensorflow-estimator importable one by one.

    Its `__init__.py` imports the TPU estimator, which needs modules that TensorFlow has dropped.
    The package is registered with its path, but without running that file.
    """
    if _PACKAGE not in sys.modules:
        spec = importlib.util.find_spec(_PACKAGE)
        if spec is None:
            raise ModuleNotFoundError(f"No module named '{_PACKAGE}'", name=_PACKAGE)
        sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)


def _supply_module(name: str, **members: Any) -> None:
    """Registers a module with these members for `import name`, unless there is one already."""
    if name not in sys.modules:
        module = ModuleType(name)
        vars(module).update(members)
        sys.modules[name] = module


def _init_run_config(config: Any, tf_config: dict[str, Any]) -> None:
    """Sets the distributed properties of a RunConfig that names a strategy.

    Without a cluster to coordinate they follow from TF_CONFIG, as in any other RunConfig.

    Raises:
      ValueError: a cluster is to train with a strategy.
    """
    if config.train_distribute and tf_config.get("cluster"):
        raise ValueError(
            "a TF_CONFIG cluster and a train_distribute strategy go together only up to TensorFlow "
            f"2.15, and this is {tf.__version__}: leave one of them out"
        )
    config._init_distributed_setting_from_environment_var(tf_config)
    config._maybe_overwrite_session_config_for_distributed_training()


def _load() -> ModuleType:
    """Returns `tf.estimator`, or on a TensorFlow without it the same from its own package."""
    if hasattr(tf, "estimator"):
        tf.estimator.Estimator  # noqa: B018  until first used, it is only a promise to load
        return tf.estimator

    _supply_package()
    # This decorator registers public names for the generator of API modules. It can do nothing,
    # because Estimator's modules are generated already.
    _supply_module(
        f"{_PACKAGE}.python.estimator.estimator_export",
        estimator_export=lambda *names, v1=None: lambda symbol: symbol,
    )
    # Estimator asks whether to use this coordinator of strategies across a cluster. The answer is
    # always no, so its other functions need not exist.
    _supply_module(
        "tensorflow.python.distribute.estimator_training",
        init_run_config=_init_run_config,
        should_run_distribute_coordinator=lambda config: False,
    )
    return importlib.import_module(f"{_PACKAGE}._api.v2.estimator")


def _load_or_explain() -> ModuleType:
    """Returns what `_load` does, or explains why it cannot.

    Raises:
      ImportError: tensorflow-estimator is missing or does not fit TensorFlow; the message says how
        to fix it.
    """
    try:
        return _load()
    except (ImportError, AttributeError) as error:
        if sys.flags.optimize > 1:
            raise ImportError(
                "tf.estimator needs docstrings to load; leave out -OO and PYTHONOPTIMIZE=2"
            ) from error
        if hasattr(tf, "estimator"):
            remedy = f"'tensorflow-estimator=={tf.__version__.rpartition('.')[0]}.*'"
        else:
            remedy = "tensorflow-estimator==2.15.0"
            if getattr(error, "name", None) != _PACKAGE:
                remedy += " 'tensorflow>=2.15,<2.22'"
        raise ImportError(
            f"tf.estimator does not load on TensorFlow {tf.__version__} ({error}); "
            f"mend it with: pip install {remedy}"
        ) from error


tf_estimator: ModuleType = _load_or_explain()
