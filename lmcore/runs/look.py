"""What is looked at between two steps: the loss on validation text, and samples of what the model writes."""

from collections.abc import Callable, Iterable
from typing import Any

from lmcore.data import Batch
from lmcore.distributed import World
from lmcore.errors import DivergedError, InputError
from lmcore.generate import Sampling, generate
from lmcore.metrics import Evaluation, evaluate
from lmcore.runs.history import History
from lmcore.step import Step
from lmcore.tokenizer import Tokenizer


class Look:
    """Scores the model of a step, lets it write, and puts both into the history and the log."""

    def __init__(self, step: Step, tokenizer: Tokenizer, history: History, log: Callable[[str], Any]):
        self.step, self.tokenizer, self.history, self.log = step, tokenizer, history, log
        self.token_bytes = tokenizer.token_bytes()

    def validate(
        self, batches: Iterable[Batch], world: World, number: int, seconds: float, last_good: str
    ) -> None:
        """After step ``number`` and so many seconds of training.

        Raises InputError for text that cannot be scored, DivergedError if the loss is no number; its message
        ends with ``last_good``.
        """
        pad_id, unk_id = self.tokenizer.pad_id, self.tokenizer.unk_id
        try:
            with self.step.autocast:
                result = evaluate(self.step.model, batches, pad_id, self.token_bytes, unk_id, world)
        except InputError as error:
            if not number:  # the text is wrong, or the model that came in
                raise
            raise DivergedError(
                f"validation after step {number:,}: {error}; lower the learning rate {last_good}"
            ) from None
        self.history.add("validation", _entry(number, seconds, result))
        speed = f", {self.history.run.tokens_per_second:,.0f} tokens/s" if number else ""
        self.log(f"step {number:>6,}  {seconds:6.1f} s  validation: {result}{speed}")

    def write_samples(self, prompts: Iterable[str], number: int, seed: int) -> None:
        """One text for each prompt, at temperature 0.8; the same seed draws the same."""
        for prompt in prompts:
            text = generate(self.step.model, self.tokenizer, prompt, Sampling(temperature=0.8, seed=seed))
            self.history.add("sample", {"step": number, "prompt": prompt, "text": text})
            self.log(f"step {number:>6,}  {text!r}")


def _entry(number: int, seconds: float, result: Evaluation) -> dict[str, Any]:
    return {
        "step": number,
        "seconds": round(seconds, 4),
        "nats_per_token": result.nats_per_token,
        "perplexity": result.perplexity,
        "bits_per_byte": result.bits_per_byte,
    }
