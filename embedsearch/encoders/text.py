"""Texts: the [CLS] position or the masked mean of a BERT-family encoder's last hidden state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from embedsearch.distances.metric import Vectors
from embedsearch.encoders import Prepared, all_ready
from embedsearch.encoders.base import ModelEncoder
from embedsearch.encoders.engines import Inputs
from embedsearch.encoders.engines.exported import Exported, Kept, open_exported
from embedsearch.encoders.hidden_states import HiddenStates
from embedsearch.errors import ItemError, ModelError, UsageError
from embedsearch.models.files import ModelFiles
from embedsearch.models.spec import EncoderSpec, Role
from embedsearch.recipe import EncoderRecipe
from embedsearch.records import Passages, Sentence, Span
from embedsearch.splitters.passages import Rule, rule_of, split_passages

if TYPE_CHECKING:
    from torch import nn

    from embedsearch.encoders.pooling_heads import PoolingHead, TextPoolingHead, Unpooled

TOKENIZER = "tokenizer.json"
WINDOW = 2**18  # characters of a long text that are tokenised at a time
PASSAGES_AHEAD = 1024  # passages of a text that are
# Texts that an engine is tried on: a short and a long one together, so that some attention windows hold only
# padding, and one alone.
PROBES = (
    "How do I get my money back?",
    "A vector describes a thing: where the distance between two of them is small, the things are related. "
    * 15,
    "The cat sleeps on the mat in the sun, and nobody in the quiet house wants to wake it before dinner.",
)


def unknown_text(model: str) -> ItemError:
    """Return why a text can't be embedded that holds nothing that a model's tokenizer knows."""
    return ItemError(
        f"the model {model} can read none of it: its tokenizer knows none of these words or characters. For "
        "another script, build the index with a multilingual model: --model with a hub id or a folder"
    )


def unknown_id(tokenizer: Any) -> int:
    """Return the id of a tokenizer's unknown token; -1 where no text has one, as with those that spell bytes.

    These use one token for what is unknown and for the end of a text.
    """
    ends = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    return -1 if tokenizer.unk_token_id in (None, *ends) else int(tokenizer.unk_token_id)


def unknown_shares(
    texts: Sequence[str],
    ids: Sequence[Sequence[int]],
    bare: tuple[int, int, int],
    encode: Callable[[list[str]], Sequence[Any]],
) -> list[float]:
    """Return `unknown_share` of several texts, (n,); offsets are asked for where it is not 0.

    Args:
        texts: (n,) what was tokenised, the prompt in front.
        ids: (n,) the tokens of each.
        bare: the id of the unknown token, the number of tokens of the prompt alone, and its characters.
        encode: tokenises texts with offsets.
    """
    unknown, least, start = bare
    shares = [0.0] * len(texts)
    odd = [
        at
        for at, each in enumerate(ids)
        if unknown in each or (len(each) <= least and not texts[at][start:].isspace() and texts[at][start:])
    ]
    for at, encoding in zip(odd, encode([texts[at] for at in odd]) if odd else (), strict=True):
        shares[at] = unknown_share(texts[at], encoding, unknown, start)
    return shares


def unknown_share(text: str, encoding: Any, unknown: int, start: int = 0) -> float:
    """Return the share (0 to 1) of a text that its tokens do not tell; 1 where no token tells anything.

    Tokens and characters are counted, and the larger share is taken: a tokenizer may make one unknown token
    of each Chinese character, or of a whole Thai sentence. Punctuation tells nothing.

    Args:
        text: what was tokenised.
        encoding: the tokenizer's, with offsets.
        unknown: the id of the unknown token.
        start: where the text begins, behind a prompt.
    """
    tokens, characters = [0, 0], [0, 0]  # unknown ones, known ones
    for token, (first, end) in zip(encoding.ids, encoding.offsets, strict=True):
        if first < start or first >= end:
            continue
        known = token != unknown
        if not known or any(letter.isalnum() for letter in text[first:end]):
            tokens[known] += 1
            characters[known] += end - first
    return max(each[0] / sum(each) if each[1] else 1.0 for each in (tokens, characters))


@dataclass(frozen=True, slots=True)
class Padding:
    """How the ids of several texts become one array.

    Attributes:
        pad_id: the id of padding.
        has_types: whether the model takes `token_type_ids`.
        has_mask: whether it takes `attention_mask`; without, it reads the padding too.
        width: tokens that each text is padded to; 0 for the longest of a batch.
        left: whether padding stands in front.
    """

    pad_id: int
    has_types: bool = False
    has_mask: bool = True
    width: int = 0
    left: bool = False

    def __call__(
        self, batch: Sequence[Prepared], step: int, most: int | None
    ) -> dict[str, np.ndarray[Any, Any]]:
        """Pad the ids of several texts: (T,) each -> (B, T) int64.

        Args:
            batch: the texts.
            step: T is the longest of them, rounded up to a multiple of this where padding is masked.
            most: tokens that the model reads, which T does not exceed; None for no limit.
        """
        lengths = [len(item.inputs["input_ids"]) for item in batch]
        width = self.width or max(lengths)
        if self.has_mask and not self.width:
            rounded = -(-width // step) * step
            width = rounded if most is None else max(width, min(rounded, most))
        ids = np.full((len(batch), width), self.pad_id, np.int64)
        mask = np.zeros_like(ids)
        for row, item, length in zip(range(len(batch)), batch, lengths, strict=True):
            start = width - length if self.left else 0
            ids[row, start : start + length] = item.inputs["input_ids"]
            mask[row, start : start + length] = 1
        padded = {"input_ids": ids}
        if self.has_mask:
            padded["attention_mask"] = mask
        if self.has_types:
            types = padded["token_type_ids"] = np.zeros_like(ids)  # one text is one segment, two are two
            for row, item, length in zip(range(len(batch)), batch, lengths, strict=True):
                if "token_type_ids" in item.inputs:
                    start = width - length if self.left else 0
                    types[row, start : start + length] = item.inputs["token_type_ids"]
        return padded


class Tokenizer:
    """A fast tokenizer behind a lock: two threads inside one raise "Already borrowed"."""

    def __init__(self, backend: Any, unknown_id: int, padding: Padding) -> None:
        """Keep a `tokenizers.Tokenizer`, set to the model's limit.

        Args:
            backend: the tokenizer itself, without the wrapper that turns every id into a Python number three
                times.
            unknown_id: see `unknown_id`.
            padding: how the model wants its texts.
        """
        self._backend, self.unknown_id, self.padding = backend, unknown_id, padding
        self._lock = threading.Lock()
        self._least = lru_cache(maxsize=8)(lambda prompt: len(self([prompt], offsets=False)[0].ids))

    @classmethod
    def of(cls, loaded: Any, max_length: int | None, padding: Padding) -> Tokenizer:
        """Take a fast tokenizer of transformers, and cut texts at `max_length` tokens; None for no limit."""
        backend = loaded.backend_tokenizer
        backend.no_padding()
        if max_length is None:
            backend.no_truncation()
        else:
            backend.enable_truncation(max_length)
        return cls(backend, unknown_id(loaded), padding)

    @classmethod
    def kept(cls, exported: Exported) -> Tokenizer:
        """Read the tokenizer of an exported model, without transformers."""
        from tokenizers import Tokenizer as Backend

        facts = exported.facts
        backend = Backend.from_str(exported.files[TOKENIZER])
        return cls(backend, facts["unknown_id"], Padding(**facts["padding"]))

    @property
    def facts(self) -> dict[str, Any]:
        """What `kept` reads beside the file of `as_json`."""
        return {"unknown_id": self.unknown_id, "padding": asdict(self.padding)}

    @property
    def limit(self) -> int | None:
        """Tokens at which a text is cut; None for no limit."""
        truncation = self._backend.truncation
        return None if truncation is None else int(truncation["max_length"])

    def as_json(self) -> str:
        """Return the tokenizer as the text of its file."""
        return str(self._backend.to_str())

    def __call__(self, texts: Sequence[str], *, offsets: bool) -> list[Any]:
        """Return one `tokenizers.Encoding` per text, cut at the model's limit.

        Half of a surrogate pair, which the tokenizer refuses, is read as "?".

        Args:
            texts: what to tokenise.
            offsets: whether to return the spans of the tokens too, which takes longer.
        """
        texts = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        with self._lock:
            return list(
                self._backend.encode_batch(texts) if offsets else self._backend.encode_batch_fast(texts)
            )

    def pairs(self, query: str, texts: Sequence[str]) -> list[Any]:
        """Return one `tokenizers.Encoding` of a query and each text together; what is too long is cut."""
        query, *texts = (each.encode("utf-8", "replace").decode("utf-8") for each in (query, *texts))
        with self._lock:
            return list(self._backend.encode_batch_fast([(query, text) for text in texts]))

    def offsets(self, text: str) -> npt.NDArray[np.int64]:
        """Return `[start, end)` of each token of a text of any length, in characters, (t, 2)."""
        found = [np.empty((0, 2), np.int64)]
        start = 0
        while start < len(text):
            end = min(start + WINDOW, len(text))
            if end < len(text):  # between words, if there are any
                cut = max(text.rfind(sign, start + 1, end) for sign in " \n")
                end = cut if cut > start else end
            (encoding,) = self([text[start:end]], offsets=True)
            for part in (encoding, *encoding.overflowing):  # each of what the model reads at a time
                spans = np.array(part.offsets, np.int64).reshape(-1, 2)
                good = (np.array(part.special_tokens_mask) == 0) & (spans[:, 0] < spans[:, 1])
                found.append(start + spans[good])
            start = end
        return np.concatenate(found)

    def added(self, prompt: str) -> int:
        """Return how many tokens a prompt and the model itself add to each text."""
        return self._least(prompt)

    def known_words(self, most: int) -> list[str]:
        """Return words of the tokenizer's own vocabulary."""
        vocabulary = self._backend.get_vocab(with_added_tokens=False)
        pieces = (each.removeprefix("\u2581") for each in sorted(vocabulary, key=vocabulary.__getitem__))
        return list(islice((each for each in pieces if each.isalnum()), most))

    def unknown(self, texts: Sequence[str], encodings: Sequence[Any], prompt: str) -> list[float]:
        """Return the share of each text that the tokenizer does not know, (n,); see `unknown_share`.

        Args:
            texts: (n,) the prompt in front.
            encodings: (n,) of these.
            prompt: is known, and does not count.
        """
        return unknown_shares(
            texts,
            [encoding.ids for encoding in encodings],
            (self.unknown_id, self.added(prompt), len(prompt)),
            lambda odd: self(odd, offsets=True),
        )


class TextModel(ModelEncoder):
    """A text transformer with its tokenizer; what texts and words share. A family adds `load`."""

    def __init__(
        self,
        recipe: EncoderRecipe,
        spec: EncoderSpec,
        files: ModelFiles,
        probe: Callable[[str], str | Sentence] = str,
    ) -> None:
        """Load the model, or open what was exported of it.

        Args:
            recipe: device, engine and precision.
            spec: what the vectors mean.
            files: of the model.
            probe: makes what `prepare` takes of a text.
        """
        self.spec = spec
        self._step = 1  # until the engine is known
        exported = open_exported(recipe, spec)
        if exported is not None:
            self._tokenizer = Tokenizer.kept(exported)
            super().__init__(recipe, spec, exported, ())
        else:
            self._tokenizer, head = self.load(files)
            super().__init__(recipe, spec, head, [probe(text) for text in self._probes()])
        self.batch_budget = recipe.batch_tokens or self._engine.batch_tokens
        self._step = self._engine.length_step

    def _probes(self) -> Sequence[str]:
        """Return texts that an engine is tried on: of words of the model's own where it knows no English."""
        if max(self._tokenizer.unknown(PROBES, self._tokenizer(PROBES, offsets=False), "")) < 1:
            return PROBES
        words = self._tokenizer.known_words(60)
        return [" ".join(part) for part in (words[:8], words * 4, words[:20])]

    def load(self, files: ModelFiles) -> tuple[Tokenizer, PoolingHead]:
        """Load the tokenizer and the model with transformers.

        Raises:
            ModelError: one of them is missing, or is of a kind that can't be used.
        """
        raise NotImplementedError

    def collate(self, batch: Sequence[Prepared]) -> Inputs:
        """Pad the ids of several texts; see `ModelEncoder.collate`."""
        return self._tokenizer.padding(batch, self._step, self.spec.max_length)

    def kept(self, head: PoolingHead) -> Kept | None:
        """Return the tokenizer; see `ModelEncoder.kept`."""
        files = {TOKENIZER: self._tokenizer.as_json()}
        return Kept(head.is_transformer, self._tokenizer.facts, files)


def load_text_model(spec: EncoderSpec, files: ModelFiles) -> tuple[Tokenizer, nn.Module]:
    """Load the tokenizer and the transformer of a text encoder; see `TextModel.load`."""
    from embedsearch.encoders.engines.devices import load_transformer

    model = load_transformer(files.folder)
    if not hasattr(model.config, "hidden_size") or getattr(model.config, "is_encoder_decoder", False):
        raise ModelError(f"{spec.model} is no text encoder of the BERT family: no last_hidden_state to read.")
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(files.folder, local_files_only=True)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(f"{files.folder} has no tokenizer that transformers can load: {error}") from error
    if not loaded.is_fast:
        raise ModelError(f"{files.folder} has only a slow tokenizer; save its fast form (tokenizer.json).")
    padding = Padding(loaded.pad_token_id or 0, "token_type_ids" in loaded.model_input_names)
    return Tokenizer.of(loaded, spec.max_length, padding), model


def unpooled_text(unpooled: Unpooled, encoding: Any, positions: Iterable[int], before: int) -> HiddenStates:
    """Return what `Encoder.hidden_states` gives of the tokens at `positions`.

    Args:
        unpooled: their hidden states.
        encoding: the tokenizer's, with offsets.
        positions: of the tokens.
        before: characters of the prompt in front of the text.
    """
    spans: list[Span | None] = []
    for position in positions:
        start, end = (max(0, place - before) for place in encoding.offsets[position])
        spans.append((start, end) if start < end and not encoding.special_tokens_mask[position] else None)
    return HiddenStates(
        rows=unpooled.rows.cpu().numpy(),
        weights=unpooled.weights.numpy(),
        vector=unpooled.vector.cpu().numpy(),
        exact=unpooled.exact,
        names=tuple(encoding.tokens[position] for position in positions),
        spans=tuple(spans),
        truncated=bool(encoding.overflowing),
    )


class TextEncoder(TextModel):
    """One vector per text."""

    def load(self, files: ModelFiles) -> tuple[Tokenizer, PoolingHead]:
        """Load a BERT-family encoder with its Dense layers; see `TextModel.load`."""
        from embedsearch.encoders.engines.devices import load_dense
        from embedsearch.encoders.pooling_heads import TextPoolingHead

        tokenizer, model = load_text_model(self.spec, files)
        dense = [load_dense(files.folder / folder) for folder in self.spec.dense]
        return tokenizer, TextPoolingHead(model, self.spec, dense)

    def prepare(self, items: Sequence[Any], role: Role = "passage") -> list[Prepared | ItemError]:
        """Tokenise texts, the role's prompt in front; `Passages` are split; see `Encoder.prepare`."""
        prompt = self.spec.prompts[role]
        # the beginning of a long text tells that it is split; the tokens of all of it would fill the memory
        held = [item.text[:WINDOW] if isinstance(item, Passages) else item for item in items]
        if wrong := [item for item in held if not isinstance(item, str)]:
            raise UsageError(f"A text is a str; got {wrong[0]!r:.60}.")
        encodings = self._tokenizer([prompt + text for text in held], offsets=False)
        ready = self._ready(held, encodings, prompt)
        if self.spec.splitter:
            added, most = self._tokenizer.added(prompt), self.spec.max_length
            rule = rule_of(self.spec.splitter, None if most is None else most - added)

            def is_long(encoding: Any) -> bool:
                return len(encoding) - added > rule.whole or bool(encoding.overflowing)

            for at, (item, encoding) in enumerate(zip(items, encodings, strict=True)):
                if not isinstance(item, Passages):
                    continue
                if is_long(encoding):
                    ready[at] = self._split(item.text, prompt, rule)
                elif len(item.text) > WINDOW:
                    whole = self._tokenizer([prompt + item.text], offsets=False)
                    ready[at] = (
                        self._split(item.text, prompt, rule)
                        if is_long(whole[0])
                        else self._ready([item.text], whole, prompt)[0]
                    )
        return ready

    def _split(self, text: str, prompt: str, rule: Rule) -> Prepared | ItemError:
        """Return the passages of a long text; where the model knows nothing of a passage, it stays one."""
        offsets = self._tokenizer.offsets(text)
        spans = split_passages(text, offsets[:, 0], offsets[:, 1], rule)
        parts: list[Prepared] = []
        for first in range(0, len(spans), PASSAGES_AHEAD):
            held = [prompt + text[start:end] for start, end in spans[first : first + PASSAGES_AHEAD]]
            encodings = self._tokenizer(held, offsets=False)
            unknown = self._tokenizer.unknown(held, encodings, prompt)
            parts += (
                Prepared(
                    {"input_ids": np.asarray(each.ids, np.int64)},
                    cost=len(each),
                    truncated=bool(each.overflowing),
                    unknown=share,
                )
                for each, share in zip(encodings, unknown, strict=True)
            )
        if all(part.unknown == 1 for part in parts):
            return unknown_text(self.spec.model)
        cost, is_cut = sum(part.cost for part in parts), any(part.truncated for part in parts)
        return Prepared({}, cost, tuple(spans), is_cut, parts=tuple(parts))

    def run(self, prepared: Sequence[Prepared]) -> Iterator[tuple[int, Vectors]]:
        """See `Encoder.run`; the passages of long texts go through the model among the other texts."""
        owners = np.repeat(np.arange(len(prepared)), [max(1, len(each.parts)) for each in prepared])
        if len(owners) == len(prepared):
            yield from super().run(prepared)
            return
        firsts = np.searchsorted(owners, np.arange(len(prepared)))
        made: dict[int, Vectors] = {}  # of texts of which not all passages are embedded
        left = {at: len(each.parts) for at, each in enumerate(prepared) if each.parts}
        for place, vectors in super().run([part for each in prepared for part in each.parts or (each,)]):
            owner = int(owners[place])
            if owner not in left:
                yield owner, vectors
                continue
            rows = made.setdefault(
                owner, np.empty((len(prepared[owner].parts), vectors.shape[1]), np.float32)
            )
            rows[place - firsts[owner]] = vectors[0]
            left[owner] -= 1
            if not left[owner]:
                yield owner, made.pop(owner)

    def _ready(
        self, texts: Sequence[str], encodings: Sequence[Any], prompt: str
    ) -> list[Prepared | ItemError]:
        """Return whole texts, cut where the model's limit is; see `prepare`."""
        return [
            unknown_text(self.spec.model)
            if unknown == 1
            else Prepared(
                {"input_ids": np.asarray(encoding.ids, np.int64)},
                cost=self._tokenizer.padding.width or len(encoding.ids),
                truncated=bool(encoding.overflowing),
                unknown=unknown,
            )
            for encoding, unknown in zip(
                encodings,
                self._tokenizer.unknown([prompt + text for text in texts], encodings, prompt),
                strict=True,
            )
        ]

    def token_rows(self, items: Sequence[str], role: Role) -> list[tuple[Vectors, list[Span]]]:
        """Return the hidden states of the tokens of texts, behind the Dense layers if any, and their places.

        Special tokens, and those of the role's prompt, are left out.

        Returns:
            For each text rows (T, d) float32, and `[start, end)` of each in the text.

        Raises:
            ItemError: the model can read nothing of a text.
        """
        prepared = all_ready(items, self.prepare(items, role))
        hidden = dict[int, Vectors]()
        for group in self.batches(prepared):
            rows = self._unpooled_rows(self.collate([prepared[at] for at in group]))  # (B, T, d)
            hidden |= zip(group, rows, strict=True)  # (B, T, d) -> B x (T, d)
        spans = self.token_spans(items, role)
        return [
            (np.stack([hidden[at][position] for position, _ in each]), [span for _, span in each])
            for at, each in enumerate(spans)
        ]

    def _unpooled_rows(self, inputs: Inputs) -> npt.NDArray[np.float32]:
        """Return the hidden states of a batch, (B, T, d) float32, by an exported model or by torch."""
        if self.exported_rows is not None:
            return self.exported_rows.start(inputs)()
        import torch

        head = cast("TextPoolingHead", self.reference().head)
        device = next(head.parameters()).device
        with torch.inference_mode():
            tensors = {name: torch.from_numpy(array).to(device) for name, array in inputs.items()}
            return head.with_rows(**tensors)[1].cpu().numpy()

    def token_spans(self, items: Sequence[str], role: Role) -> list[list[tuple[int, Span]]]:
        """Return the position of each token of texts that `token_rows` gives, and its span in the text."""
        prompt = self.spec.prompts[role]
        found = []
        for encoding in self._tokenizer([prompt + text for text in items], offsets=True):
            places = enumerate(zip(encoding.offsets, encoding.special_tokens_mask, strict=True))
            found.append(
                [
                    (at, (max(0, start - len(prompt)), end - len(prompt)))
                    for at, ((start, end), is_special) in places
                    if not is_special and max(start + 1, end) > len(prompt)
                ]
            )
        return found

    def unpool(self, item: Any, role: Role, head: PoolingHead) -> HiddenStates:
        """Take a text apart into its tokens; see `Encoder.hidden_states`."""
        prompt = self.spec.prompts[role]
        encoding = self._tokenizer([prompt + item], offsets=True)[0]
        ids = np.asarray(encoding.ids, np.int64)
        unpooled = self.unpooled_states(Prepared({"input_ids": ids}, cost=len(ids)), head)
        return unpooled_text(unpooled, encoding, range(len(ids)), len(prompt))
