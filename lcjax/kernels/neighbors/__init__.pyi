from .boxes import box_search as box_search
from .brute_force import brute_force_search as brute_force_search
from .dispatch import nearest_neighbors as nearest_neighbors
from .distance import Neighbors as Neighbors
from .distance import Problem as Problem
from .distance import Search as Search
from .kdtree import kdtree_search as kdtree_search
from .matmul import matmul_search as matmul_search
from .sharded import sharded_neighbors as sharded_neighbors
from .sorted_line import sorted_line_search as sorted_line_search

__all__ = [
    "Neighbors",
    "Problem",
    "Search",
    "box_search",
    "brute_force_search",
    "kdtree_search",
    "matmul_search",
    "nearest_neighbors",
    "sharded_neighbors",
    "sorted_line_search",
]
