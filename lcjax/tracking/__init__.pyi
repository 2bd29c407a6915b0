from .data_frames import to_frame as to_frame
from .long_tables import to_columns as to_columns
from .mlflow import log_to_mlflow as log_to_mlflow
from .records import TrackedResult as TrackedResult
from .records import open_tracker as open_tracker
from .tensorboard import log_to_tensorboard as log_to_tensorboard
