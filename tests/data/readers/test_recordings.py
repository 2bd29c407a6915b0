"""Recordings from an archive and from WAV files, and refused files."""

import numpy as np
import pytest

from lcjax.data.readers.recordings import read_recordings, read_wav
from tests.data.problems import RATE, noise, recordings, save_recordings, save_wav_folder, write_wav


def test_a_wav_file(tmp_path):
    write_wav(tmp_path / "a.wav", noise(300))
    np.testing.assert_array_equal(read_wav(tmp_path / "a.wav", rate=RATE), noise(300))
    write_wav(tmp_path / "b.wav", noise(300), rate=16_000)
    assert read_wav(tmp_path / "b.wav", rate=16_000).size == 300
    with pytest.raises(FileNotFoundError, match=r"No file .*c\.wav"):
        read_wav(tmp_path / "c.wav", rate=RATE)


def test_an_archive_and_a_folder_hold_the_same_recordings(tmp_path):
    archive, folder = read_recordings(save_recordings(tmp_path)), read_recordings(save_wav_folder(tmp_path))
    arrays = recordings()
    assert len(archive.audio) == 240
    assert archive.rate == folder.rate == RATE
    for name in ("digit", "speaker", "take"):
        np.testing.assert_array_equal(getattr(archive, name), arrays[name])
        np.testing.assert_array_equal(getattr(folder, name), arrays[name])
    np.testing.assert_array_equal(np.concatenate(archive.audio), arrays["audio"])
    assert [audio.size for audio in archive.audio] == np.diff(arrays["offsets"]).tolist()
    for one, other in zip(archive.audio, folder.audio, strict=True):
        np.testing.assert_array_equal(one, other)


def test_bad_wav_files(tmp_path):
    path = tmp_path / "3_anna_0.wav"
    for options, message in (
        ({"rate": 44_100}, "has 44100 samples per second, not 8000: resample"),
        ({"channels": 2}, "has 2 channels, not one"),
        ({"width": 1}, "has uint8 samples, not 16-bit integers: convert it to 16-bit PCM"),
        ({"width": 3}, "has int32 samples, not 16-bit integers"),
    ):
        write_wav(path, noise(300), **options)
        with pytest.raises(ValueError, match=rf"3_anna_0\.wav {message}"):
            read_recordings(tmp_path)
    write_wav(path, noise(300))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="Reached EOF prematurely; finished at 544 bytes, expected 644"):
        read_recordings(tmp_path)
    write_wav(path, noise(0))
    with pytest.raises(ValueError, match=r"3_anna_0\.wav has no samples"):
        read_recordings(tmp_path)
    path.write_bytes(b"RIFF nothing")
    with pytest.raises(ValueError, match=r"3_anna_0\.wav cannot be read"):
        read_recordings(tmp_path)
    write_wav(path, np.zeros(300, np.int16))
    with pytest.raises(ValueError, match=r"3_anna_0\.wav is silent, all its 300 samples are 0"):
        read_recordings(tmp_path)
    path.rename(tmp_path / "three.wav")
    with pytest.raises(ValueError, match=r"three\.wav is not named DIGIT_SPEAKER_TAKE\.wav"):
        read_recordings(tmp_path)
    (tmp_path / "three.wav").unlink()
    with pytest.raises(FileNotFoundError, match="No WAV file in"):
        read_recordings(tmp_path)


ARRAYS = recordings()
SIZE = ARRAYS["audio"].size


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sample_rate": np.int32(16_000)}, r"set\.npz has 16000 samples per second, not 8000"),
        ({"audio": ARRAYS["audio"].reshape(-1, 1)}, r"one channel of 16-bit samples, .* of shape \(\d+, 1\)"),
        ({"audio": ARRAYS["audio"].astype(np.float32)}, "got float32"),
        ({"take": None}, "it lacks take"),
        ({"digit": np.where(np.arange(240) == 9, 10, 0)}, "digits must be 0 to 9, got 0 to 10"),
        ({"digit": np.where(np.arange(240) == 9, -1, 9)}, "digits must be 0 to 9, got -1 to 9"),
        ({"digit": np.zeros(239)}, r"241 offsets and \[239, 240, 240\]"),
        ({"offsets": ARRAYS["offsets"][::-1]}, f"offsets must increase from 0 to {SIZE}, the number of samples"),
        ({"offsets": np.r_[1, ARRAYS["offsets"][1:]]}, "offsets must increase"),
        ({"offsets": np.r_[ARRAYS["offsets"][:-1], SIZE - 1]}, "offsets must increase"),
        ({"offsets": np.r_[0, 0, ARRAYS["offsets"][2:]]}, "offsets must increase"),
        ({"sample_rate": np.array([8000, 8000])}, r"sample_rate must be whole numbers of shape \(\), got int64 of .*2"),
        ({"sample_rate": np.float64("inf")}, "sample_rate must be whole numbers, got inf"),
        ({"sample_rate": np.float64("nan")}, "sample_rate must be whole numbers, got nan"),
        ({"sample_rate": np.str_("8000")}, r"sample_rate must be whole numbers of shape \(\), got <U4"),
        ({"take": np.full(240, "0")}, r"take must be whole numbers of shape \(n,\), got <U1 of shape \(240,\)"),
        ({"digit": np.full(240, 3.7)}, r"digit must be whole numbers, got 3\.7"),
        ({"take": np.full(240, 2**63, np.uint64)}, "take must be whole numbers, got 9223372036854775808"),
        ({"offsets": ARRAYS["offsets"][:, None]}, r"offsets must be whole .* got int64 of shape \(241, 1\)"),
        (
            {"offsets": np.zeros(1, int), "audio": noise(0)} | dict.fromkeys(("digit", "speaker", "take"), noise(0)),
            "increase",
        ),
        ({"audio": np.zeros(SIZE, np.int16)}, "recording 0 is silent"),
    ],
)
def test_bad_archives(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        read_recordings(save_recordings(tmp_path, **changes))


def test_a_file_that_is_not_an_archive(tmp_path):
    (tmp_path / "a.npz").write_bytes(b"PK not")
    with pytest.raises(ValueError, match=r"a\.npz cannot be read: it is not a NumPy archive"):
        read_recordings(tmp_path / "a.npz")
