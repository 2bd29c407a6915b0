from .collection_plan import CollectionPlan as CollectionPlan
from .plan_collection import plan_collection as plan_collection
