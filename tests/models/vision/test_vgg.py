import pytest

from lcjax.models.vision.vgg import VGG, VGG11, VGG16, VGG19
from tests.models.problems import check_counts, check_forward


@pytest.mark.parametrize(
    ("model", "shape", "count"),
    [
        (VGG(), (32, 32, 3), 14_728_266),
        (VGG(batch_norm=False), (32, 32, 3), 14_719_818),
        (VGG(hidden=(512, 512), batch_norm=False), (32, 32, 3), 15_245_130),
        (VGG(VGG11, (4096, 4096), 1000, False), (224, 224, 3), 132_863_336),
        (VGG(VGG19, (4096, 4096), 1000, False), (224, 224, 3), 143_667_240),
    ],
)
def test_counts(model, shape, count):
    check_counts(model, shape, count)


def test_depths():
    assert [sum(stages) + 3 for stages in (VGG11, VGG16, VGG19)] == [11, 16, 19]


def test_forward():
    check_forward(VGG((1, 1), (6,), 3), (8, 8, 3), 1.505001, 0.234285)
