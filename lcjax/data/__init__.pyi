from .arrays import data_from_arrays as data_from_arrays
from .arrays import limit_training as limit_training
from .examples import Data as Data
from .examples import Examples as Examples
from .sequences.parallel_text import Pairs as Pairs
from .sequences.parallel_text import parallel_task as parallel_task
from .sequences.sources import load_sequences as load_sequences
from .sequences.speech import Utterance as Utterance
from .sequences.speech import audio_seconds as audio_seconds
from .sequences.speech import speech_task as speech_task
from .sequences.task import SequenceTask as SequenceTask
from .sequences.task import examples_for as examples_for
from .sequences.task import token_counts as token_counts
from .sequences.task import units_of_prefixes as units_of_prefixes
from .sequences.text import characters_task as characters_task
from .sequences.text import words_task as words_task
from .sequences.vocabulary import Vocabulary as Vocabulary
from .shards import independent_orders as independent_orders
from .shards import independent_shards as independent_shards
from .shards import nested_shards as nested_shards
from .sources import load_data as load_data
from .streamed import Streamed as Streamed
from .subsets import rotated_order as rotated_order
from .subsets import stratified_order as stratified_order

__all__ = [
    "Data",
    "Examples",
    "Pairs",
    "SequenceTask",
    "Streamed",
    "Utterance",
    "Vocabulary",
    "audio_seconds",
    "characters_task",
    "data_from_arrays",
    "examples_for",
    "independent_orders",
    "independent_shards",
    "limit_training",
    "load_data",
    "load_sequences",
    "nested_shards",
    "parallel_task",
    "rotated_order",
    "speech_task",
    "stratified_order",
    "token_counts",
    "units_of_prefixes",
    "words_task",
]
