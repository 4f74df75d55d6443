"""The files in a model's folder, beside TensorFlow's own: checkpoints, their list, event files."""

# Prefix of the names of checkpoints.
CHECKPOINT = "model.ckpt"
# Settings of the network; see `settings`.
SETTINGS = "settings.json"
# Folder of the checkpoint with the lowest evaluation loss. It is a model's folder itself.
BEST = "best"
# Metrics: in a model's folder those that `--mode evaluate` measured, in `BEST` those of training.
EVALUATION = "evaluation.json"
# Photos that are never trained on. `data.held_out` writes the sizes of the others beside it.
HELD_OUT = "held_out.json"
# Exists if the model was trained on the bundled photos alone; see `tryout`.
TRYOUT = "bundled_photos_alone"
# What the training began with; see `start`.
START = "start.json"
# Step from which the model is trained at full size; written when that stage begins.
FULL_SIZE = "full_size.json"
# Number of steps that fit into `--minutes`; see `step_budget`.
BUDGET = "budget.json"
# Where `--patience` has ended the training; see `patience`.
PATIENCE = "patience.json"
# Photos that training could not open, and why.
UNREADABLE = "unreadable.txt"
# Lock of the training that writes to the folder.
LOCK = "training.lock"
