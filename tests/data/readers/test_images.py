"""Folders of images: classes, splits, sizes and modes."""

import numpy as np
import PIL.Image
import pytest

import lcjax as lc
from lcjax.data.readers.images import read_image_folder

RNG = np.random.default_rng(0)


def save(folder, name, *, size=(6, 5), mode="RGB", **options):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.fromarray(RNG.integers(0, 256, (size[1], size[0], 3), np.uint8)).convert(mode).save(path, **options)
    return path


def test_images_are_read_by_class_in_the_order_of_their_paths(tmp_path):
    paths = [save(tmp_path, f"{('cat', 'dog')[i % 2]}/{i:02d}.png") for i in range(24)]
    source = read_image_folder(str(tmp_path))
    inputs, labels = source.splits["train"]
    assert labels.tolist() == ["cat"] * 12 + ["dog"] * 12
    np.testing.assert_array_equal(inputs[0], np.asarray(PIL.Image.open(paths[0])))
    np.testing.assert_array_equal(inputs[12], np.asarray(PIL.Image.open(paths[1])))
    assert source.notes == ("Read 24 images.",)
    data = lc.load_data(f"images:{tmp_path}")
    assert (data.train.inputs.shape, data.train.inputs.dtype, data.classes) == ((16, 5, 6, 3), np.uint8, 2)


@pytest.mark.parametrize("validation", ["val", "valid", "validation"])
def test_splits_are_folders(tmp_path, validation):
    for split, count in (("train", 6), (validation, 4), ("test", 2)):
        for i in range(count):
            save(tmp_path, f"{split}/{('cat', 'dog')[i % 2]}/deep/{i}.jpg")
    splits = read_image_folder(str(tmp_path)).splits
    assert {name: len(labels) for name, (_, labels) in splits.items()} == {"train": 6, "validation": 4, "test": 2}


def test_gray_images_have_one_channel_unless_some_have_color(tmp_path):
    save(tmp_path, "a/1.png", mode="L")
    save(tmp_path, "b/1.png", mode="1")
    assert read_image_folder(str(tmp_path)).splits["train"][0].shape == (2, 5, 6, 1)
    save(tmp_path, "b/2.png", mode="RGBA")
    save(tmp_path, "b/3.png", mode="P")
    source = read_image_folder(str(tmp_path))
    assert source.splits["train"][0].shape == (4, 5, 6, 3)
    assert source.notes == ("Read 4 images, 2 of them gray, as RGB.",)
    assert read_image_folder(f"{tmp_path}?color=gray").splits["train"][0].shape == (4, 5, 6, 1)


def test_images_of_16_bits_keep_their_range(tmp_path):
    values = np.arange(0, 65536, 2185, np.uint16).reshape(5, 6)
    (tmp_path / "a").mkdir()
    PIL.Image.fromarray(values).save(tmp_path / "a" / "1.png")
    inputs = read_image_folder(str(tmp_path)).splits["train"][0]
    np.testing.assert_array_equal(inputs[0, ..., 0], values // 257)


def test_other_sizes_are_refused_or_resized(tmp_path):
    save(tmp_path, "a/1.png")
    save(tmp_path, "b/2.png", size=(8, 8))
    with pytest.raises(
        ValueError, match=r"the images have 2 sizes, such as 6 x 5 \(1\.png\) and 8 x 8 \(2\.png\); res"
    ):
        read_image_folder(str(tmp_path))
    source = read_image_folder(f"{tmp_path}?size=4")
    assert source.splits["train"][0].shape == (2, 4, 4, 3)
    assert source.notes == ("Read 2 images, resized to 4 x 4.",)


def test_the_orientation_of_a_camera_is_applied(tmp_path):
    exif = PIL.Image.Exif()
    exif[274] = 6  # to be turned by 90 degrees
    save(tmp_path, "a/1.jpg", exif=exif)
    assert read_image_folder(str(tmp_path)).splits["train"][0].shape == (1, 6, 5, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("?size=0", "size must be an integer from 1 to 4096, got '0'"),
        ("?size=big", "option size cannot be read: 'big' is not a number"),
        ("?colour=gray", "options are size=PIXELS and color=rgb or gray, got"),
        ("?color=blue", "options are size=PIXELS and color=rgb or gray, got"),
    ],
)
def test_options_that_do_not_fit_are_refused(tmp_path, options, message):
    save(tmp_path, "a/1.png")
    with pytest.raises(ValueError, match=message):
        read_image_folder(f"{tmp_path}{options}")


def test_other_folders_are_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"has no images in folders of classes: expected DIR/CLASS/NAME\.png"):
        read_image_folder(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="No folder"):
        read_image_folder(str(tmp_path / "none"))
    save(tmp_path, "a/1.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"a/1\.png cannot be read: cannot identify image file"):
        read_image_folder(str(tmp_path))
    save(tmp_path, "a/1.png")
    monkeypatch.setenv("LCJAX_MEMORY_LIMIT", "1e-8")
    with pytest.raises(ValueError, match=r"more than the limit .* Resize them: images:DIR\?size=PIXELS"):
        read_image_folder(str(tmp_path))
