"""Folders of images, a folder for each class, perhaps within a folder for each split."""

import itertools
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from lcjax.data.examples import Source
from lcjax.data.readers.files import check_size, parse_number
from lcjax.data.readers.tables import split_options
from lcjax.files import reading, require_folder

__all__ = ["read_image_folder"]

_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm"}
_SPLITS = {"train": ("train", "training"), "validation": ("val", "valid", "validation", "dev"), "test": ("test",)}
_LARGEST_FOLDER = 2_000_000  # files
_LARGEST_SIDE = 4096
_GRAY = ("1", "L", "LA", "I", "F", "I;16", "I;16B", "I;16L")


def read_image_folder(argument: str) -> Source:
    """Read images by class with Pillow: DIR/CLASS/NAME.png, or DIR/SPLIT/CLASS/NAME.png.

    Splits are named train, val (or valid, validation) and test. Images have one size, or are resized to a square by
    `DIR?size=64`; `DIR?color=gray` or `color=rgb` converts them. Without it they are gray if all of them are. Deeper
    folders belong to their class; the orientation that a camera stored is applied, and transparency is dropped.

    Args:
        argument: path of the folder, perhaps with options.

    Returns:
        Images `(n, height, width, channels)` uint8 and names of classes `(n,)`, in the order of their paths.

    Raises:
        FileNotFoundError: there is no such folder.
        ValueError: there are no images, an image is damaged, sizes differ, or they take more memory than allowed.

    Examples:
        >>> import PIL.Image, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        ...         path = Path(folder, name)
        ...         path.parent.mkdir(exist_ok=True)
        ...         PIL.Image.new("RGB", (4, 3)).save(path)
        ...     images, labels = read_image_folder(folder).splits["train"]
        >>> images.shape, labels.tolist()
        ((3, 3, 4, 3), ['cat', 'cat', 'dog'])
    """
    path, given = split_options(argument)
    unknown = set(given) - {"size", "color"}
    if unknown or given.get("color", "rgb") not in ("rgb", "gray"):
        raise ValueError(f"{path}: options are size=PIXELS and color=rgb or gray, got {given}.")
    side = None
    if "size" in given:
        with reading(path, "option size"):
            value = parse_number(given["size"])
        if not (1 <= value <= _LARGEST_SIDE and value % 1 == 0):
            raise ValueError(f"{path}: size must be an integer from 1 to {_LARGEST_SIDE}, got {given['size']!r}.")
        side = int(value)
    folder = require_folder(path)
    files = {split: list(_images(place)) for split, place in _split_folders(folder).items()}
    every = [file for found in files.values() for file, _ in found]
    if not every or not files["train"]:
        raise ValueError(
            f"{path} has no images in folders of classes: expected DIR/CLASS/NAME.png, or DIR/train/CLASS/NAME.png; "
            f"endings are {', '.join(sorted(_ENDINGS))}."
        )
    size, is_gray, count = _inspect(folder, every, side)
    is_gray = given["color"] == "gray" if "color" in given else is_gray
    channels = 1 if is_gray else 3
    check_size(folder, len(every) * size[0] * size[1] * channels, remedy="Resize them: images:DIR?size=PIXELS.")
    splits = {}
    for split, found in files.items():
        inputs = np.empty((len(found), size[1], size[0], channels), np.uint8)
        for row, (file, _) in enumerate(found):
            inputs[row] = _read(file, size, is_gray)
        splits[split] = (inputs, np.array([name for _, name in found]))
    gray = "" if is_gray else f", {count} of them gray, as RGB" if count else ""
    resized = "" if side is None else f", resized to {side} x {side}"
    return Source(splits, (f"Read {len(every):,} images{gray}{resized}.",))


def _split_folders(folder: Path) -> Mapping[str, Path]:
    """Return the folder of each split; all images are "train" if there are none."""
    names = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir()}
    found = {split: names[name] for split, usual in _SPLITS.items() for name in reversed(usual) if name in names}
    return found if "train" in found and any(path.is_dir() for path in found["train"].iterdir()) else {"train": folder}


def _images(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the images below a folder in the order of their paths, with the folder of their class."""
    paths = itertools.islice(folder.rglob("*"), _LARGEST_FOLDER + 1)
    for path in sorted(path for path in paths if path.suffix.lower() in _ENDINGS):
        parts = path.relative_to(folder).parts
        if len(parts) > 1 and not any(part.startswith(".") for part in parts) and path.is_file():
            yield path, parts[0]


def _inspect(folder: Path, files: list[Path], side: int | None) -> tuple[tuple[int, int], bool, int]:
    """Return the width and height, True if all images are gray, and the number of gray ones, from their headers."""
    import PIL.Image

    sizes: dict[tuple[int, int], Path] = {}
    gray = 0
    for file in files:
        with reading(file), warnings.catch_warnings(action="ignore"), PIL.Image.open(file) as image:
            gray += image.mode in _GRAY
            size = image.size
            if image.getexif().get(274, 1) >= 5:  # the orientation swaps the axes
                size = size[::-1]
            if max(size) > _LARGEST_SIDE * 4:
                raise ValueError(f"it has {size[0]} x {size[1]} pixels, more than {4 * _LARGEST_SIDE} at a side")
        sizes.setdefault(size, file)
    if side is not None:
        return (side, side), gray == len(files), gray
    if len(sizes) > 1:
        (first, one), (second, other) = list(sizes.items())[:2]
        raise ValueError(
            f"{folder}: the images have {len(sizes)} sizes, such as {first[0]} x {first[1]} ({one.name}) and "
            f"{second[0]} x {second[1]} ({other.name}); resize them with images:{folder}?size=64."
        )
    return next(iter(sizes)), gray == len(files), gray


def _read(file: Path, size: tuple[int, int], is_gray: bool) -> UInt8[np.ndarray, "height width channels"]:
    import PIL.Image
    import PIL.ImageOps

    with reading(file), warnings.catch_warnings(action="ignore"), PIL.Image.open(file) as image:
        upright = PIL.ImageOps.exif_transpose(image)
        if upright.mode in ("I", "F") or upright.mode.startswith("I;16"):  # Pillow would clip these
            values = np.asarray(upright, float)
            scale = 1 if values.max(initial=0) < 256 else 257
            upright = PIL.Image.fromarray(np.clip(values / scale, 0, 255).astype(np.uint8))
        converted = upright.convert("L" if is_gray else "RGB")
        if converted.size != size:
            converted = converted.resize(size, PIL.Image.Resampling.BILINEAR, reducing_gap=3.0)
        pixels = np.asarray(converted, np.uint8)
    return pixels[..., None] if is_gray else pixels
