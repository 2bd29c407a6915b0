"""WAV files as recorders, encoders and pipes write them: read, or refused with what to do."""

import struct

import numpy as np
import pytest

from lcjax.data.readers.recordings import read_recordings, read_wav
from lcjax.data.sequences.sources import load_sequences

RATE = 8000
NAMES = [f"{digit}_s1_{take}" for digit in (0, 1) for take in (0, 5, 10)]
PCM = (1, 1, RATE, 2 * RATE, 2, 16)  # format, channels, rate, bytes per second, bytes per frame, bits
EXTENSIBLE = struct.pack("<HHI", 22, 16, 4) + bytes.fromhex("0100000000001000800000aa00389b71")
STREAMED = 0xFFFFFFFF
TEXT = b"INFOINAM\x06\x00\x00\x00data\x00\x00"


def chunk(name, content, length=None):
    return name + struct.pack("<I", len(content) if length is None else length) + content


def wav(samples, *, form=PCM, extra=b"", before=b"", behind=b"", riff=None, data=None):
    """Return the bytes of a WAV file; `riff` and `data` replace the lengths of the file and of its samples."""
    fmt = chunk(b"fmt ", struct.pack("<HHIIHH", *form) + extra)
    body = b"WAVE" + fmt + before + chunk(b"data", samples.tobytes(), data) + behind
    return chunk(b"RIFF", body, riff)


def samples(number):
    return np.random.default_rng(number).integers(-3000, 3000, 480).astype("<i2")


READ = {
    "plain": {},
    "extensible": {"form": (0xFFFE, *PCM[1:]), "extra": EXTENSIBLE},
    "streamed": {"riff": STREAMED, "data": STREAMED},
    "streamed_zero": {"riff": 0, "data": 0},
    "streamed_2_GiB": {"riff": 0x7FFFF024, "data": 0x7FFFF000},
    "streamed_with_length_of_samples": {"riff": STREAMED},
    "list_chunk": {"before": chunk(b"LIST", TEXT), "behind": chunk(b"LIST", TEXT)},
    "unknown_chunk": {"before": chunk(b"bext", b"12345678"), "behind": chunk(b"id3 ", b"12")},
    "streamed_list_chunk": {"before": chunk(b"LIST", b"INFOISFT\x04\x00\x00\x00enc\x00"), "riff": 0, "data": 0},
}


@pytest.mark.parametrize("case", READ)
def test_every_header_gives_the_same_samples(tmp_path, case):
    for number, name in enumerate(NAMES):
        (tmp_path / f"{name}.wav").write_bytes(wav(samples(number), **READ[case]))
    for number, audio in enumerate(read_recordings(tmp_path).audio):
        np.testing.assert_array_equal(audio, samples(number))


@pytest.mark.parametrize("ending", ["wav", "WAV", "mixed"])
def test_names_in_upper_case_are_read(tmp_path, ending):
    for number, name in enumerate(NAMES):
        suffix = ending if ending != "mixed" else ("wav", "WAV")[number > 2]
        (tmp_path / f"{name}.{suffix}").write_bytes(wav(samples(number)))
    task = load_sequences(f"fsdd:{tmp_path}", shortest=1, longest=1, characters=False)
    splits = (task.data.train, task.data.validation, task.data.test)
    assert [len(split.targets) for split in splits] == [2, 2, 2]
    assert task.vocabulary.symbols == ("<blank>", "one", "zero")


FLOAT = (3, 1, RATE, 4 * RATE, 4, 32)
REFUSED = {
    "float_samples": (wav(samples(0).astype("<f4") / 3000, form=FLOAT), "has float32 samples.*convert it to 16-bit"),
    "compressed": (wav(samples(0), form=(7, *PCM[1:])), "Unknown wave file format: MULAW"),
    "no_channels": (wav(samples(0), form=(1, 0, *PCM[2:])), "cannot be read"),
    "empty": (b"", "cannot be read"),
    "header_alone": (wav(samples(0))[:12], "cannot be read"),
    "no_samples": (wav(samples(0)[:0]), "has no samples"),
    "no_part_with_samples": (chunk(b"RIFF", b"WAVE" + chunk(b"fmt ", struct.pack("<HHIIHH", *PCM))), "no samples"),
    "short_format": (chunk(b"RIFF", b"WAVE" + chunk(b"fmt ", b"\1\0\1\0", 4)), "cannot be read"),
    "huge_format": (chunk(b"RIFF", b"WAVE" + chunk(b"fmt ", struct.pack("<HHIIHH", *PCM), 2**31)), "cannot be read"),
    "truncated": (wav(samples(0))[:-100], "Reached EOF prematurely"),
    "half_a_sample": (wav(samples(0), riff=0, data=0)[:-1], "cannot be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_files_are_refused_in_one_line(tmp_path, case):
    content, message = REFUSED[case]
    path = tmp_path / "0_s1_0.wav"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^\S+/0_s1_0\.wav .*{message}.*\.$") as refusal:
        read_wav(path, rate=RATE)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["٣_s1_0.wav", f"3_s1_{10**30}.wav", "3_s1_-1.wav", "33_s1_0.wav"])
def test_other_names_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(wav(samples(0)))
    with pytest.raises(ValueError, match=r"is not named DIGIT_SPEAKER_TAKE\.wav"):
        read_recordings(tmp_path)
