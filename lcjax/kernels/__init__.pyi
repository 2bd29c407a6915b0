from .integration import capped_mean as capped_mean
from .integration import expectation as expectation
from .neighbors import Neighbors as Neighbors
from .neighbors import nearest_neighbors as nearest_neighbors
from .neighbors import sharded_neighbors as sharded_neighbors

__all__ = ["Neighbors", "capped_mean", "expectation", "nearest_neighbors", "sharded_neighbors"]
