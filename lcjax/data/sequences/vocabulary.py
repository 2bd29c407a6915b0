"""Symbols of a sequence task: words, characters or word pieces, their numbers, and decoding to text."""

import collections
import functools
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Int32, Integer

from lcjax.files import reading
from lcjax.records import record
from lcjax.typing import Array

__all__ = ["Vocabulary", "learn_pieces", "most_frequent"]

END, UNKNOWN, PADDING, START = "<eos>", "<unk>", "<pad>", "<sos>"
_LONGEST_WORD = 2000  # characters, in word pieces
_SPACE = "▁"  # stands for the space before a word in word pieces


@record
class Vocabulary:
    r"""Symbols, numbered from 0, and the roles of the special ones.

    Attributes:
        symbols: text of each symbol, by number; words, single characters or word pieces.
        end: number of the end of a sentence; -1 if sentences have no end (labels of CTC).
        start: number that a decoder receives before the first symbol.
        unknown: number of everything that is not among the symbols; -1 if there is none.
        padding: number that fills inputs beyond their end, and CTC's blank; -1 if there is none.
        words: True if symbols are words, separated by spaces in text.
        tokenizer: for word pieces the tokenizer, as JSON of the package `tokenizers`; else empty.

    Examples:
        >>> vocabulary = most_frequent([["the", "cat"], ["the", "dog"]], size=4)
        >>> vocabulary.symbols
        ('<eos>', '<unk>', 'the', 'cat')
        >>> vocabulary.encode("the dog").tolist(), vocabulary.decode([2, 1, 0, 2, 3, 0])
        ([2, 1, 0], 'the <unk>\nthe cat')
    """

    symbols: tuple[str, ...] = jax.tree.static()
    end: int = jax.tree.static(default=0)
    start: int = jax.tree.static(default=0)
    unknown: int = jax.tree.static(default=1)
    padding: int = jax.tree.static(default=-1)
    words: bool = jax.tree.static(default=True)
    tokenizer: str = jax.tree.static(default="")

    def __len__(self) -> int:
        return len(self.symbols)

    def number(self, symbols: Iterable[str]) -> Int32[np.ndarray, " t"]:
        """Return the numbers of symbols, int32, without an end.

        Raises:
            ValueError: a symbol is not in the vocabulary, and there is no unknown symbol.
        """
        try:
            if self.unknown < 0:
                return np.fromiter((self._numbers[symbol] for symbol in symbols), np.int32)
        except KeyError as error:
            raise ValueError(f"{error} is not among the {len(self)} symbols of the vocabulary.") from None
        return np.fromiter((self._numbers.get(symbol, self.unknown) for symbol in symbols), np.int32)

    def encode(self, sentence: str) -> Int32[np.ndarray, " t"]:
        """Return the numbers of the words, characters or pieces of a sentence, int32, with the end if there is one."""
        numbers = self.encode_batch([sentence])[0]
        return numbers if self.end < 0 else np.append(numbers, np.int32(self.end))

    def encode_batch(self, sentences: Sequence[str]) -> list[Int32[np.ndarray, " _"]]:
        """Return the numbers of many sentences, `(t,)` int32 each, without ends; faster for word pieces."""
        if not self.tokenizer:
            return [self.number(sentence.split() if self.words else sentence) for sentence in sentences]
        lines = list(map(_join_words, sentences))
        return [np.array(pieces.ids, np.int32) for pieces in self._pieces.encode_batch_fast(lines)]

    def decode(self, tokens: Integer[Array, "..."] | Sequence[int]) -> str:
        """Return the text of numbers in row-major order, one line per sentence.

        Negative numbers, padding and a start symbol that is not also the end are skipped.

        Raises:
            ValueError: a number is not below the number of symbols.
        """
        numbers = np.asarray(tokens, np.int64).reshape(-1)
        if numbers.size and numbers.max() >= len(self):
            raise ValueError(f"Token {numbers.max()} is not one of the {len(self)} symbols.")
        silent = {self.padding} | ({self.start} - {self.end})
        sentences: list[list[str]] = [[]]
        for number in numbers.tolist():
            if number < 0 or number in silent:
                continue
            if number == self.end:
                sentences.append([])
            else:
                sentences[-1].append(self.symbols[number])
        if len(sentences) > 1 and not sentences[-1]:
            sentences.pop()
        return "\n".join(self._text(sentence) for sentence in sentences)

    def _text(self, symbols: list[str]) -> str:
        if self.words:
            return " ".join(symbols)
        return "".join(symbols).replace(_SPACE, " ").strip() if self.tokenizer else "".join(symbols)

    @functools.cached_property
    def _numbers(self) -> dict[str, int]:
        return {symbol: number for number, symbol in enumerate(self.symbols)}

    @functools.cached_property
    def _pieces(self) -> Any:
        from tokenizers import Tokenizer

        with reading("The vocabulary", "tokenizer"):
            tokenizer = Tokenizer.from_str(self.tokenizer)
            if tokenizer.get_vocab_size() > len(self):
                raise ValueError(f"it has {tokenizer.get_vocab_size()} pieces for {len(self)} symbols")
        tokenizer.encode_special_tokens = True  # "<pad>" in a text is text
        return tokenizer


def _join_words(sentence: str) -> str:
    """Return a sentence with single spaces; ValueError for a word so long that byte-pair encoding takes seconds."""
    words = sentence.split()
    longest = max(map(len, words), default=0)
    if longest > _LONGEST_WORD:
        raise ValueError(f"A word has {longest:,} characters, more than {_LONGEST_WORD:,}: separate or remove it.")
    return " ".join(words)


def most_frequent(sentences: Iterable[Sequence[str]], *, size: int | None = None, words: bool = True) -> Vocabulary:
    """Make a vocabulary of the end of a sentence, unknown, and the most frequent symbols of the training text.

    Symbols of equal frequency are ordered alphabetically. "<unk>" and "<eos>" in the text are the special symbols.

    Args:
        sentences: words or characters of each sentence of the training text.
        size: number of symbols, the two special ones included; all symbols of the text by default. Penn Treebank has
            10,000 in all; Hestness et al. (2019) count 10,004 for words and 98 for characters, special ones included.
        words: True if the symbols are words, False if they are characters.

    Raises:
        ValueError: `size` is below 3 or above the number of symbols in the training text.

    Examples:
        >>> most_frequent(["aab", "b "], words=False).symbols
        ('<eos>', '<unk>', 'a', 'b', ' ')
    """
    counts = collections.Counter(symbol for sentence in sentences for symbol in sentence)
    for special in (END, UNKNOWN):
        counts.pop(special, None)
    available = len(counts) + 2
    if size is not None and not 3 <= size <= available:
        raise ValueError(
            f"A vocabulary of {size} symbols: the training text gives {available}, <eos> and <unk> included; "
            f"ask for 3 to {available}, or for all of them (None)."
        )
    ranked = sorted(counts, key=lambda symbol: (-counts[symbol], symbol))
    return Vocabulary((END, UNKNOWN, *ranked[: None if size is None else size - 2]), words=words)


def learn_pieces(sentences: Sequence[str], *, size: int) -> Vocabulary:
    """Learn word pieces by byte-pair encoding (Sennrich et al., 2016), with the package `tokenizers`.

    Text is normalized to Unicode NFC and single spaces. A word begins with "▁", punctuation stands alone, and no piece
    extends over either boundary. Number 0 is padding, 1 unknown (a character that the text lacks). The start and the
    end of a sentence come last, so that a source side needs `size - 2` symbols, as in Hestness et al. (2019, section
    A.1: 36,547 and 36,549). The same text gives the same pieces in every process.

    Args:
        sentences: training text, of both languages if the vocabulary is shared.
        size: number of symbols, the four special ones included.

    Raises:
        ValueError: `size` is below the number of single characters, or above the number of pieces in the text.

    Examples:
        >>> vocabulary = learn_pieces(["low lower lowest", "new newer newest"], size=18)
        >>> [vocabulary.symbols[i] for i in vocabulary.encode("lower  new")]
        ['▁lo', 'we', 'r', '▁ne', 'w', '<eos>']
        >>> vocabulary.decode(vocabulary.encode("lower  new"))
        'lower new'
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.NFC()
    separators = [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation("isolated")]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(separators)
    trainer = trainers.BpeTrainer(vocab_size=max(size - 2, 0), special_tokens=[PADDING, UNKNOWN], show_progress=False)
    tokenizer.train_from_iterator(list(map(_join_words, sentences)), trainer)
    learned = tokenizer.get_vocab_size() + 2
    if learned != size:
        reason = "its single characters alone make" if learned > size else "it gives no more than"
        raise ValueError(f"A vocabulary of {size} pieces does not fit the training text: {reason} {learned}.")
    by_number = sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
    symbols = (*(piece for piece, _ in by_number), START, END)
    start, end, serialized = size - 2, size - 1, tokenizer.to_str()
    return Vocabulary(symbols, end=end, start=start, unknown=1, padding=0, words=False, tokenizer=serialized)
