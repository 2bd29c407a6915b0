from .arrays import data_from_arrays as data_from_arrays
from .examples import Data as Data
from .examples import Examples as Examples
from .sequences.sources import load_sequences as load_sequences
from .sequences.task import SequenceTask as SequenceTask
from .sequences.task import examples_for as examples_for
from .sequences.vocabulary import Vocabulary as Vocabulary
from .shards import independent_orders as independent_orders
from .shards import independent_shards as independent_shards
from .shards import nested_shards as nested_shards
from .sources import load_data as load_data
from .subsets import stratified_order as stratified_order

__all__ = [
    "Data",
    "Examples",
    "SequenceTask",
    "Vocabulary",
    "data_from_arrays",
    "examples_for",
    "independent_orders",
    "independent_shards",
    "load_data",
    "load_sequences",
    "nested_shards",
    "stratified_order",
]
