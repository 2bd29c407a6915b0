from .data_frames import to_frame as to_frame
from .long_tables import to_columns as to_columns
from .mlflow import log_to_mlflow as log_to_mlflow
from .scalars import TrackedResult as TrackedResult
from .tensorboard import log_to_tensorboard as log_to_tensorboard
from .trackers import find_tracker as find_tracker
