"""Exponents printed in Hestness et al. (2019): Table 2, Table 3 and the text.

`error = scale * size ** exponent`; "model size" is the exponent of the best model's number of parameters. A metric is
listed once for each value that the paper prints: that of Table 2 first, then that of Table 3 or, for the model size,
those of sections 4.2 and C.2 where they differ.
"""

__all__ = ["EXPONENTS", "FIXED_TRANSLATION"]

_WORDS = (("loss", -0.066), ("model size", 0.68))
_CHARACTERS = (("loss", -0.092), ("loss", -0.094), ("model size", 0.89))

EXPONENTS: dict[str, tuple[tuple[str, float], ...]] = {
    "words, LSTM": _WORDS,
    "words, LSTM of 4 layers": (*_WORDS, ("model size", 0.89)),
    "words, RHN": (*_WORDS, ("loss", -0.070)),
    "characters, Adam": (*_CHARACTERS, ("model size", 0.92)),
    "characters, SGD": (*_CHARACTERS, ("model size", 0.78)),
    "translation": (("error", -0.128), ("model size", 0.68)),
    "speech, CTC": (("error", -0.291), ("error", -0.299), ("model size", 0.54)),
    "speech, attention": (("error", -0.291), ("error", -0.296), ("model size", 0.54)),
    "images": (("error", -0.309), ("top5", -0.522), ("loss", -0.350), ("model size", 0.57)),
}

# Section C.1: exponents of translation models of fixed size, by parameters, with `scale * size ** exponent + offset`.
FIXED_TRANSLATION = {17_000_000: -0.360, 48_000_000: -0.300}
