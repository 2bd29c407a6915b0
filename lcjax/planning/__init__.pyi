from .collection_plan import CollectionPlan as CollectionPlan
from .plan_collection import plan_collection as plan_collection
from .sources import SourceChoice as SourceChoice
from .sources import choose_source as choose_source
