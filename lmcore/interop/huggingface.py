"""A trained model as one of Hugging Face transformers: generate, pipeline, the Auto classes.

To import this module is to tell transformers of the model type "lmcore". It takes seconds, because
transformers does; nothing else in lmcore imports it. Tested with transformers 5.23, and in part with 5.15.

Left out: cutting a state back (assisted generation), static caches, embeddings as inputs, attention weights.
"""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tokenizers
import transformers
from jaxtyping import Bool, Float, Int
from tokenizers import processors
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GenerationConfig,
    GenerationMixin,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

from lmcore.checkpoint import MODELS, kind_of
from lmcore.errors import InputError
from lmcore.interop.carried import CarriedState, read
from lmcore.model import ModelConfig
from lmcore.tokenizer import Tokenizer

OLDEST = (5, 15)  # of transformers; earlier ones hand the state on in other ways
IGNORED = -100  # a label that is no target, everywhere in transformers
VOCAB_SIZE = 8192  # transformers makes a configuration without any argument
SPELLED_OUT = ("char", "word", "bpe")  # "<eos>" typed in a text is text to the tokenizers trained here


def check_version(version: str) -> None:
    """Raises InputError for a version of transformers that is too old."""
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise InputError(
            f"transformers is {version}; this needs {needed} or newer: pip install -U transformers"
        )


check_version(transformers.__version__)


class LmcoreConfig(PreTrainedConfig):
    """The fields of an RNNConfig or a GPTConfig, by their own names, and token ids.

    ``kind`` is the model's name in a checkpoint, "recurrent" or "transformer". Raises InputError for any
    other.
    """

    model_type = "lmcore"
    attribute_map = {  # noqa: RUF012 - transformers reads it from the class
        "hidden_size": "emb_dim",
        "num_hidden_layers": "num_layers",
        "num_attention_heads": "num_heads",
        "tie_word_embeddings": "tie_weights",
        "pad_token_id": "pad_id",
    }

    def __init__(self, kind: str = "recurrent", **options: Any):
        if kind not in MODELS:
            raise InputError(f"kind is {kind!r}; it must be one of {', '.join(MODELS)}")
        self.kind = kind
        for field in dataclasses.fields(MODELS[kind][1]):
            default = VOCAB_SIZE if field.default is dataclasses.MISSING else field.default
            setattr(self, field.name, options.pop(field.name, default))
        super().__init__(**options)

    def of_model(self) -> ModelConfig:
        """What lmcore makes the model from. Raises InputError for values that it refuses."""
        config_class = MODELS[self.kind][1]
        names = [field.name for field in dataclasses.fields(config_class)]
        return config_class(**{name: getattr(self, name) for name in names})


class LmcoreForCausalLM(PreTrainedModel, GenerationMixin):
    """A RecurrentLM or TransformerLM as transformers wants it; ``model`` is that model.

    What is carried from call to call is called ``past_key_values``, as everywhere in transformers, and is a
    `CarriedState`. Where the attention mask is 0, nothing is read and the state is held.
    """

    config_class = LmcoreConfig
    base_model_prefix = "model"
    _input_embed_layer = "embedding"
    _is_stateful = True  # refuses assisted generation, which takes tokens back
    _tied_weights_keys = {"model.output.weight": "model.embedding.weight"}  # noqa: RUF012 - as above

    def __init__(self, config: LmcoreConfig):
        super().__init__(config)
        self.model = MODELS[config.kind][0](config.of_model())
        self._is_made = False
        self.post_init()
        self._is_made = True

    def get_output_embeddings(self) -> nn.Module:
        return self.model.output

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False  # the first call makes a CarriedState

    def _init_weights(self, module: nn.Module) -> None:
        """lmcore's constructors have done it; transformers asks again for what a file lacks.

        Raises InputError then: to go on would be to write with random numbers.
        """
        if self._is_made:
            weights = self.state_dict(keep_vars=True).items()
            missing = [name for name, tensor in weights if not getattr(tensor, "_is_hf_initialized", False)]
            others = f", and {len(missing) - 1} others are missing" if len(missing) > 1 else ""
            raise InputError(f"{self.name_or_path}: the weights hold no {missing[0]}{others}")

    def resize_token_embeddings(self, *sizes: Any, **options: Any) -> nn.Module:
        """Not supported: raises InputError."""
        size = self.config.vocab_size
        raise InputError(f"the model has {size} tokens; a model of lmcore cannot get more or fewer")

    def forward(
        self,
        input_ids: Int[Tensor, "B T"],
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        labels: Int[Tensor, "B T"] | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        return_dict: bool | None = None,
    ) -> CausalLMOutputWithPast | tuple:
        """Logits for the token after each of the last ``logits_to_keep`` places (0: all), and the state.

        ``labels`` are the input ids again, -100 where there is no target; they are shifted here, and the
        loss is in nats per target. ``attention_mask`` may also cover what was read before. The loss is that
        of lmcore: with its label smoothing, and sampled, in training mode. Raises InputError for a mask of
        another shape, a state that is not ours, or labels without any target.
        """
        if not isinstance(past_key_values, CarriedState | None):
            found = type(past_key_values).__name__
            raise InputError(f"past_key_values is a {found}; it must be what this model has returned")
        mask = None if attention_mask is None else columns_of(attention_mask, input_ids)
        hidden, carried = read(self.model, input_ids, mask, past_key_values)
        outputs = CausalLMOutputWithPast(
            loss=None if labels is None else self._loss(hidden, labels, mask),
            logits=self.model.output(hidden[:, -logits_to_keep:]),
            past_key_values=None if use_cache is False else carried,
        )
        wants_dict = self.config.return_dict if return_dict is None else return_dict
        return outputs if wants_dict else outputs.to_tuple()

    def _loss(
        self, hidden: Float[Tensor, "B T D"], labels: Int[Tensor, "B T"], mask: Bool[Tensor, "B T"] | None
    ) -> Float[Tensor, ""]:
        """Mean nats over the labels that follow a token that was read."""
        is_target = labels[:, 1:] != IGNORED
        if mask is not None:
            is_target = is_target & mask[:, :-1]
        count = int(is_target.sum())
        if not count:
            raise InputError(f"labels of shape {tuple(labels.shape)} hold 0 targets; at least 1 is needed")
        return self.model.nats(hidden[:, :-1][is_target], labels[:, 1:][is_target]) / count

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """As transformers does it. Raises InputError for prompts that are padded on the right."""
        if attention_mask is not None and not attention_mask[:, -1].all():
            row = int((attention_mask[:, -1] == 0).nonzero()[0])
            raise InputError(
                f"row {row} of the attention mask ends with 0: nothing can be written after padding; "
                "pad on the left (tokenizer.padding_side = 'left')"
            )
        return super().prepare_inputs_for_generation(input_ids, attention_mask=attention_mask, **kwargs)


def columns_of(attention_mask: Tensor, input_ids: Int[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
    """The part of a mask that is about these tokens: its last columns."""
    B, T = input_ids.shape
    if attention_mask.ndim != 2 or len(attention_mask) != B or attention_mask.shape[1] < T:
        raise InputError(
            f"attention_mask has the shape {tuple(attention_mask.shape)}; "
            f"for input_ids of shape {(B, T)} it must be ({B}, {T} or more)"
        )
    return attention_mask[:, -T:].bool()


def as_transformers(
    model: nn.Module, tokenizer: Tokenizer
) -> tuple[LmcoreForCausalLM, PreTrainedTokenizerFast]:
    """A copy of the model, in evaluation mode, and the tokenizer, as transformers has them.

    Raises InputError for a model that is no RecurrentLM or TransformerLM.
    """
    ids = {"bos_token_id": tokenizer.bos_id, "eos_token_id": tokenizer.eos_id}
    config = LmcoreConfig(kind_of(model), **dataclasses.asdict(model.config), **ids)
    wrapped = LmcoreForCausalLM(config).to(next(model.parameters()))
    wrapped.model.load_state_dict(model.state_dict())
    never = [i for i in tokenizer.special_ids if i != tokenizer.eos_id]  # they have no text
    wrapped.generation_config = GenerationConfig(pad_token_id=tokenizer.pad_id, suppress_tokens=never, **ids)
    return wrapped.eval(), as_fast_tokenizer(tokenizer)


def as_fast_tokenizer(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    """The tokenizer as transformers has it: ``<bos>`` before every text, padding on the left.

    A piece that is not in the vocabulary becomes ``<unk>``, where `Tokenizer.encode_prompt` refuses it.
    """
    backend = tokenizers.Tokenizer.from_str(tokenizer.backend.to_str())  # a copy: special tokens are added
    bos = backend.id_to_token(tokenizer.bos_id)
    backend.post_processor = processors.TemplateProcessing(
        single=[bos, "$A"], special_tokens=[(bos, tokenizer.bos_id)]
    )
    ids = {
        "pad_token": tokenizer.pad_id,
        "unk_token": tokenizer.unk_id,
        "bos_token": tokenizer.bos_id,
        "eos_token": tokenizer.eos_id,
    }
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        padding_side="left",
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        split_special_tokens=tokenizer.kind in SPELLED_OUT,
        **{role: backend.id_to_token(i) for role, i in ids.items() if i is not None},
    )


def save_for_transformers(folder: str | Path, model: nn.Module, tokenizer: Tokenizer) -> None:
    """Write weights, configuration and tokenizer as ``from_pretrained`` reads them."""
    wrapped, fast = as_transformers(model, tokenizer)
    with _no_progress_bars():
        wrapped.save_pretrained(folder)
        fast.save_pretrained(folder)


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


AutoConfig.register(LmcoreConfig.model_type, LmcoreConfig, exist_ok=True)
AutoModelForCausalLM.register(LmcoreConfig, LmcoreForCausalLM, exist_ok=True)
MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[LmcoreConfig.model_type] = LmcoreForCausalLM.__name__  # for pipelines
