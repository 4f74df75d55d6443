"""The files in a model's folder, beside TensorFlow's own: checkpoints, their list, event files."""

# Beginning of the names of checkpoints.
CHECKPOINT = "model.ckpt"
# Settings of the network; see `settings`.
SETTINGS = "settings.json"
# Folder of the checkpoint with the lowest evaluation loss. It is a model's folder itself.
BEST = "best"
# Metrics: in a model's folder those that `--mode evaluate` measured, in `BEST` those of training.
EVALUATION = "evaluation.json"
# Photos that are never trained on; beside it lie the sizes of those that are, see `data.held_out`.
HELD_OUT = "held_out.json"
# Its being there says that the model has seen the bundled photos alone; see `tryout`.
TRYOUT = "bundled_photos_alone"
# What the training began with; see `start`.
START = "start.json"
# Step from which on training sees photos at full size, once it does.
FULL_SIZE = "full_size.json"
# Steps that fit into the minutes of `--mode compare`; see `step_budget`.
BUDGET = "budget.json"
# Photos that training could not open, and why.
UNREADABLE = "unreadable.txt"
# Lock of the training that writes to the folder.
LOCK = "training.lock"
