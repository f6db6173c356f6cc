"""The README of an exported model: what it is, how to load it, the numbers of its run, its limits.

Every number comes from the model itself or from the run's record; what is unknown is said to be unknown.
"""

from lmcore.checkpoint import Checkpoint
from lmcore.gpt import TransformerLM
from lmcore.record import Run

PACKAGE = "https://github.com/next-word/next-word"
LIBRARY = {"huggingface": "transformers", "onnx": "onnx"}  # by the names of the formats; as the hub spells it

LIMITS = """\
- It continues text in the manner of what it was trained on, and knows nothing else. It follows no \
instructions, and what it says about the world is not to be relied on. What is wrong or one-sided in its \
training text is so in what it writes.
- Perplexity is per token of its own tokenizer; between models with different tokenizers only bits per byte \
can be compared.
"""

LIMITS_OF = {
    "huggingface": """\
- Where `top_k` is not given, transformers draws from the 50 likeliest tokens; `top_k=0` draws from all, as \
lmcore does. Special tokens other than the end are never written.
- A batch of unequal prompts is padded on the left, as the tokenizer here does it.
- Assisted generation, static caches and other vocabulary sizes are not supported.
""",
    "onnx": """\
- One file is one step: batches of any size, one token per row. A prompt is read token by token.
""",
}


def model_card(name: str, to: str, checkpoint: Checkpoint, run: Run | None) -> str:
    """Markdown with the front matter that the hub reads.

    ``to`` is a key of LIBRARY, ``name`` what the export is loaded by, ``run`` None without a record.
    """
    model = checkpoint.model
    kind = "transformer" if isinstance(model, TransformerLM) else f"recurrent-{model.config.cell}"
    load = _load_onnx(checkpoint) if to == "onnx" else _load_huggingface(name)
    return f"""\
---
library_name: {LIBRARY[to]}
pipeline_tag: text-generation
tags:
- lmcore
- {kind}
---

# {name}

{_what(checkpoint)}. Trained from scratch with [lmcore]({PACKAGE}), the package behind the course Next Word.

## Load it

{load}
## Numbers

{_table([*_of_model(checkpoint), *([] if run is None else _of_run(run))])}
{_source(run)}
## Limits

{LIMITS}{LIMITS_OF[to]}"""


def _load_huggingface(name: str) -> str:
    return f"""\
The code of the model is in lmcore, not in this folder: no remote code is needed.

```bash
pip install "lmcore[huggingface] @ git+{PACKAGE}"
```

```python
import lmcore.interop.huggingface  # tells transformers about this kind of model
from transformers import pipeline

write = pipeline("text-generation", model="{name}")  # the folder, or a name on the hub
print(write("The", max_new_tokens=50, do_sample=True, temperature=0.8, top_k=0)[0]["generated_text"])
```

`AutoModelForCausalLM.from_pretrained` and `AutoTokenizer.from_pretrained` work as well.
"""


def _load_onnx(checkpoint: Checkpoint) -> str:
    bos, eos = checkpoint.tokenizer.bos_id, checkpoint.tokenizer.eos_id
    never = [i for i in checkpoint.tokenizer.special_ids if i != eos]
    return f"""\
`model.onnx` takes `tokens` (batch, 1) and the state, `state_0`, `state_1` and so on, (batch, width) each; \
it gives the logits of the next token, (batch, vocabulary), and the new state. The first state is zeros. A \
text starts with token {bos} and ends with token {eos}.

```python
# pip install onnxruntime tokenizers
import numpy as np
import onnxruntime
import tokenizers

step = onnxruntime.InferenceSession("model.onnx")
tokenizer = tokenizers.Tokenizer.from_file("tokenizer.json")
state = {{part.name: np.zeros((1, part.shape[1]), np.float32) for part in step.get_inputs()[1:]}}
ids = [{bos}, *tokenizer.encode("The", add_special_tokens=False).ids]
end = len(ids) + 50  # at most 50 new tokens
for at in range(end - 1):
    logits, *after = step.run(None, {{"tokens": np.array([[ids[at]]]), **state}})
    state = dict(zip(state, after))
    if at == len(ids) - 1:
        logits[0, {never}] = -np.inf  # tokens without text
        ids.append(int(logits[0].argmax()))  # the likeliest; sample for livelier text
        if ids[-1] == {eos}:
            break
print(tokenizer.decode([i for i in ids if i not in ({bos}, {eos})]))
```
"""


def _what(checkpoint: Checkpoint) -> str:
    config = checkpoint.model.config
    size = f"{config.num_layers} layers of width {config.emb_dim}"
    if isinstance(checkpoint.model, TransformerLM):
        return f"A small Transformer: {size}, {config.num_heads} heads, a window of {config.context} tokens"
    return f"A small recurrent language model: {size}, cell {config.cell}"


def _table(rows: list[tuple[str, str]]) -> str:
    return "".join(f"| {left} | {right} |\n" for left, right in [("", ""), ("---", "---"), *rows])


def _source(run: Run | None) -> str:
    if run is None:
        return "There is no record of the run: how well the model predicts is unknown.\n"
    return "From `record.json` beside this file, which holds every step of the training.\n"


def _of_model(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    tokenizer = checkpoint.tokenizer
    return [
        ("parameters", f"{checkpoint.model.num_parameters:,}"),
        ("tokenizer", f"{tokenizer.kind}, {tokenizer.vocab_size:,} tokens"),
    ]


def _of_run(run: Run) -> list[tuple[str, str]]:
    settings, environment = run.settings, run.environment
    libraries = ", ".join(f"{name} {number}" for name, number in environment.get("libraries", {}).items())
    return [
        ("text", f"{settings.get('corpus', 'unknown')}, SHA-256 {settings.get('corpus_sha256', 'unknown')}"),
        *_of_training(run),
        *_of_validation(run),
        ("seed", str(settings.get("train", {}).get("seed", "unknown"))),
        ("commit of lmcore", str(environment.get("commit") or "unknown")),
        ("libraries", libraries or "unknown"),
    ]


def _of_training(run: Run) -> list[tuple[str, str]]:
    if not run.steps:
        return [("training", "unknown")]
    last, device = run.steps[-1], run.environment.get("device", "an unknown device")
    return [
        ("training", f"{last['step']:,} steps, {last['tokens']:,} tokens, {last['seconds']:,.0f} s, {device}")
    ]


def _of_validation(run: Run) -> list[tuple[str, str]]:
    """Of the last validation, on text that was not trained on."""
    if not run.validation:
        return [("validation", "none")]
    last = run.validation[-1]
    when, bits = f"validation after step {last['step']:,}", last["bits_per_byte"]
    return [
        (f"{when}: bits per byte", "unknown" if bits is None else f"{bits:.4f}"),
        (f"{when}: nats per token", f"{last['nats_per_token']:.4f}"),
        (f"{when}: perplexity per token", f"{last['perplexity']:,.2f}"),
    ]
