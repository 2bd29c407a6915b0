from . import bisla as bisla
from . import hestness as hestness
from . import sharma as sharma
from . import zhang as zhang
from .index import INDEX as INDEX
