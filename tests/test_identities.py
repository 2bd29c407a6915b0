"""The table of permanent names: complete, unambiguous and correct."""

import dataclasses
import importlib
import inspect
import pkgutil

import flax.linen as nn
import pytest

import lcjax
from lcjax.curves import forms
from lcjax.identities import _ENTRIES, _HOME_OF, find, name_of
from tests.problems import FORM_PARAMETERS

# Modules whose public functions are all passed as part of a program, a model, a fit or a prediction.
VALUES = {
    "complexity.corruption", "curves.fit.residual_losses", "data.shards", "models.losses", "models.sequence_losses",
    "training.augmentation", "training.optimizers", "training.sampling",
}  # fmt: skip
# Parts of the engine, and numbers printed in papers, which are not part of any hash or JSON.
EXEMPT = {
    "Accuracy",
    "Best",
    "Choice",
    "Columns",
    "Command",
    "CostLimit",
    "Estimator",
    "Form",
    "Goal",
    "Heading",
    "HoldOut",
    "JaxTrainer",
    "Job",
    "LocalExecutor",
    "LocalScorer",
    "Message",
    "Outcome",
    "PaperRow",
    "Part",
    "Plan",
    "Quantity",
    "Recording",
    "Sample",
    "ShardedExecutor",
    "Source",
    "StreamedExecutor",
    "StreamedScorer",
    "Subsets",
    "Table",
    "TableOptions",
    "Target",
    "TfdsSet",
    "Training",
}


def modules():
    for found in pkgutil.walk_packages(lcjax.__path__, "lcjax."):
        if found.name == "lcjax.__main__":
            continue
        if not found.name.startswith(("lcjax.cli", "lcjax.plots")):
            yield importlib.import_module(found.name)


def is_to_be_named(module, name, value):
    if inspect.isclass(value):
        is_record = getattr(value, "__no_type_check__", False) is True
        is_value = issubclass(value, nn.Module) or (dataclasses.is_dataclass(value) and not is_record)
        return is_value and not name.startswith("_") and name not in EXEMPT
    return module.__name__.removeprefix("lcjax.") in VALUES and name in module.__all__ and callable(value)


def test_all_that_programs_and_records_hold_has_a_name():
    for module in modules():
        for name, value in vars(module).items():
            if getattr(value, "__module__", None) == module.__name__ and is_to_be_named(module, name, value):
                assert name_of(value).startswith("lcjax:"), (module.__name__, name)


@pytest.mark.parametrize("name", [n for n in lcjax.__all__ if callable(getattr(lcjax, n))])
def test_what_users_pass_has_a_name(name):
    value = getattr(lcjax, name)
    lasting = name_of(value)  # a renamed function keeps its old name
    assert lasting.startswith("lcjax:")
    assert find(lasting) is value


def test_names_are_unique_and_lead_back():
    assert len(_HOME_OF) == len(set(_HOME_OF.values())) == len(_ENTRIES)
    for name in _HOME_OF:
        assert name_of(find(f"lcjax:{name}")) == f"lcjax:{name}"


def test_a_part_of_lcjax_without_a_name_is_refused():
    with pytest.raises(ValueError, match=r"lcjax\.training\.sweep:_train_table has no lasting name: enter it in"):
        name_of(importlib.import_module("lcjax.training.sweep")._train_table)


def test_every_form_is_public_has_a_name_and_parameters_for_its_tests():
    for name, form in vars(forms).items():
        if isinstance(form, forms.Form):
            assert name in forms.__all__
            assert name_of(form) == f"lcjax:{name}", f"enter {name} in lcjax/identities.py"
            assert form in FORM_PARAMETERS, f"enter {name} in tests/problems.py"
