from .enclosing_ball import approximate_sphere as approximate_sphere
from .enclosing_ball import enclosing_sphere as enclosing_sphere
from .integration import capped_mean as capped_mean
from .integration import expectation as expectation
from .neighbors import Neighbors as Neighbors
from .neighbors import nearest_neighbors as nearest_neighbors
from .neighbors import sharded_neighbors as sharded_neighbors

__all__ = [
    "Neighbors",
    "approximate_sphere",
    "capped_mean",
    "enclosing_sphere",
    "expectation",
    "nearest_neighbors",
    "sharded_neighbors",
]
