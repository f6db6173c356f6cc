"""The training loop, for any model under the contract: batches in, a `Run` out.

Nothing in this file knows what kind of model it trains.

What is promised: on a CPU the same seed, settings, number of threads and versions give the same losses to
the bit, and so does a run that was stopped or killed and went on from its folder. Another number of threads
adds up in another order. Under ``max_seconds`` the learning rate follows the clock, so no two runs are alike.
On CUDA weights, batches and random numbers start and go on alike, but some kernels add up in an order that
changes from run to run: there losses agree in their first digits only. With three processes and more, the
first step after going on may add up the processes' gradients in another order.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lmcore.checkpoint import kind_of, save_checkpoint
from lmcore.data import Batch, SentenceBatches, StreamBatches
from lmcore.distributed import World
from lmcore.errors import DivergedError, InputError, SaveError
from lmcore.record import Run, environment, settings_of
from lmcore.runs.folder import RunFolder
from lmcore.runs.history import History
from lmcore.runs.keeper import Keeper, Progress
from lmcore.runs.ledger import Ledger, Stopwatch
from lmcore.runs.look import Look
from lmcore.runs.resume import first_broken
from lmcore.runs.stopping import SIGINT, SIGTERM, Interrupted, StopRequest, UntilStopped, is_interactive
from lmcore.runs.watch import ProgressBar, headline
from lmcore.step import Step, StepResult, guarded, make_step
from lmcore.tokenizer import Tokenizer
from lmcore.train_config import TrainConfig, choose_device, learning_rate_at


class Trainer:
    """Trains one model on one source of batches.

    ``validation``: batches for `evaluate`, or None. ``tokenizer`` gives the padding id, the bytes
    for bits per byte and the text of samples. ``about`` goes into the run record (data, checksums).
    ``log`` takes one line of text at a time. ``save`` is called after each validation and at the end,
    as long as the loss is a number: what it keeps is the last good model. ``world``: the processes of
    this run; every one needs the same model, batches and configuration, and only rank 0 logs and saves.

    ``folder``: where the run lives (a path, or a `RunFolder`). `fit` then keeps snapshots there, and a run
    with the same settings that is there already goes on. ``save`` is `save_checkpoint` into it, unless given.
    ``watch`` is called with the kind ("step", "validation", "sample", "end") and content of each event.

    Raises InputError if a batch has fewer rows than there are processes times ``accumulate``.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: SentenceBatches | StreamBatches,
        tokenizer: Tokenizer,
        config: TrainConfig,
        validation: Iterable[Batch] | None = None,
        about: dict[str, Any] | None = None,
        log: Callable[[str], Any] = print,
        save: Callable[[], Any] | None = None,
        world: World | None = None,
        folder: RunFolder | str | Path | None = None,
        watch: Callable[[str, dict[str, Any]], Any] | None = None,
    ):
        self.config, self.batches, self.tokenizer = config, batches, tokenizer
        self.validation, self.world = validation, world or World()
        config.check_rows(batches.batch_size, self.world.size)
        self.log = log if self.world.is_first else lambda line: None
        self.device = choose_device(config.device)
        self.model = model.to(self.device)
        for source in (batches, validation):
            if hasattr(source, "to"):  # token ids go to the card where they fit
                source.to(self.device)
        self.step = Step(model, config, tokenizer.pad_id, self.device, self.world)
        self.optimizer = self.step.optimizer
        settings = settings_of(model, batches, config, self.world.size, about or {})
        self.run = Run(settings, environment(self.device))
        self.history = History(self.run, watch if self.world.is_first else None)
        self.progress, self.clock = Progress(), Stopwatch()
        reading_waits = self.device.type != "cpu" or self.world.size > 1
        self.ledger = Ledger(self.history, self.world, self.clock, reading_waits)
        self.look = Look(self.step, tokenizer, self.history, self.log)
        self.keeper: Keeper | None = None
        if folder is not None:
            folder = folder if isinstance(folder, RunFolder) else RunFolder(folder, self.world)
            self.keeper = Keeper(folder, self.step, self.history, tokenizer.to_json(), len(batches))
        if save is None and self.keeper is not None:
            kind_of(model)  # one that cannot be saved should show now
            save = partial(save_checkpoint, self.keeper.folder.path, model, tokenizer)
        self.save = save
        self._take_step: Callable[..., StepResult] | None = None
        self._request, self._failed = StopRequest(), False

    def fit(self) -> Run:
        """Train until a limit is reached; returns the history (also kept as ``self.run``).

        Ctrl-C and, with a folder, SIGTERM end it after the step at hand, with a snapshot in the folder. In a
        notebook the history so far is returned then, and another call goes on; in a program `fit` raises
        KeyboardInterrupt or, after SIGTERM, SystemExit(0).

        Raises InputError after the end: a new run needs a new Trainer. Raises TrainingError if the loss stops
        being a number or a GPU's memory does not suffice; the history up to there is kept. Raises SaveError
        if the folder's disk is full; another call goes on.
        """
        if self.done or self._failed:
            raise InputError(f"this Trainer has already run {len(self.run.steps)} steps; make a new one")
        try:
            with ExitStack() as stack:
                if not self.progress.step:
                    self._start()
                if self.keeper is not None:
                    stack.enter_context(self.keeper.working(self.progress, self.log))
                    if self.keeper.kept is not None:
                        self._go_on()
                stack.enter_context(self._request.listening(*self._signals()))
                self._train()
        finally:
            number, self._request.number = self._request.number, 0
        if number == SIGTERM:
            raise SystemExit(0)
        if number == SIGINT and not is_interactive():
            raise KeyboardInterrupt
        return self.run

    @property
    def done(self) -> bool:
        """Whether the run has reached its limit, with all that is due then."""
        step = self.progress.step
        kept = self.keeper is None or self.keeper.kept == (step, True)
        return step > 0 and self.progress.looked and kept and self._part_done(step) >= 1

    def stop(self) -> None:
        """Ask `fit` to return after the step at hand; from ``watch``, for example."""
        self._request.ask()

    def _start(self) -> None:
        torch.manual_seed(self.config.seed)
        if self.device.type == "cpu":
            torch.set_flush_denormal(True)  # for good: tiny numbers are slow, and change nothing
        self._take_step = make_step(self.step)
        self.log(headline(self.model, self.device, self.world))

    def _go_on(self) -> None:
        path, step = self.keeper.folder.path, self.progress.step
        self.clock.seconds, self.ledger.saved_step = self.progress.seconds, step
        what = "has finished; for a new one choose another folder" if self.done else "goes on"
        self.log(f"the run in {path} is at step {step:,} and {what}")

    def _signals(self) -> list[int]:
        """Which to take as a request to stop; several processes agree on that if they have a folder."""
        if self.keeper is not None:
            return [SIGINT, SIGTERM]
        return [SIGINT] if is_interactive() and self.world.size == 1 else []

    def _train(self) -> None:
        self.model.train()
        self.clock.start()
        batches = self._endless_batches()
        try:
            with ProgressBar(self.world) as bar:
                while self._may_go_on():
                    self._do_step(next(batches))
                    bar.show(self.run, self._part_done(self.progress.step))
            if self.keeper is not None and self.progress.step:
                self._leave_folder()
        except SaveError:
            raise  # another call of fit tries again
        except BaseException:
            self._failed = True  # in the middle of a step, perhaps
            raise

    def _may_go_on(self) -> bool:
        """Do what is due after the last step, unless somebody asks for a stop; False at the end."""
        asked = self._request.agreed(self.world if self.keeper is not None else World())
        if not asked and not self.progress.looked:
            self._look()
        if self.progress.looked:  # or else the look was interrupted
            self._save_what_is_due()
        return self.progress.looked and not (asked or self.done)

    def _leave_folder(self) -> None:
        """The end, or a stop on the way."""
        if self.done:
            self.keeper.end("finished", self.progress.step)
        elif self.keeper.kept != (self.progress.step, self.progress.looked):
            self._save_model()
            self._keep()

    def _endless_batches(self) -> Iterator[Batch]:
        while True:
            number, start = self.progress.epoch, self.progress.batch
            yield from self.batches.epoch(number, start) if start else self.batches.epoch(number)
            self.progress.epoch, self.progress.batch = number + 1, 0

    def _part_done(self, step: int) -> float:
        """Part of the run that is done: by steps or by seconds, whichever is further."""
        by_steps = step / self.config.max_steps if self.config.max_steps else 0.0
        by_time = self.clock.seconds / self.config.max_seconds if self.config.max_seconds else 0.0
        return max(by_steps, by_time)

    def _do_step(self, batch: Batch) -> None:
        progress, step = self.progress, self.progress.step + 1
        learning_rate = learning_rate_at(self._part_done(step), self.config)
        result = guarded(self._take_step, batch, progress.states, learning_rate, self.config)
        progress.step, progress.states, progress.looked = step, result.states, False
        progress.batch += 1
        self.clock.tick()
        if self.config.max_seconds:
            self.clock.seconds = self.world.from_first(self.clock.seconds)  # all stop at the same step
        self.ledger.note(step, result, learning_rate)

    def _is_regular(self, step: int) -> bool:
        """Whether validation and saving are due after this step."""
        every = self.config.eval_every
        return not step or self._part_done(step) >= 1 or (every is not None and step % every == 0)

    def _look(self) -> None:
        """Validate and write samples where they are due; a request to stop can interrupt this."""
        step, config = self.progress.step, self.config
        regular, at_the_end = self._is_regular(step), step > 0 and self._part_done(step) >= 1
        samples = at_the_end or step in config.sample_steps
        if regular or samples:
            self.ledger.read()
            try:
                if regular and self.validation is not None:
                    self._validate(step)
            except Interrupted:
                return
            if samples:
                self.look.write_samples(config.prompts, step, config.seed)
            self.clock.start()  # looking does not count as training
        self.progress.looked = True

    def _validate(self, step: int) -> None:
        alone = self.world.size == 1  # several processes could not stop at the same batch
        text = UntilStopped(self.validation, self._request) if alone else self.validation
        self.look.validate(text, self.world, step, self.clock.seconds, self.ledger.last_good())

    def _save_what_is_due(self) -> None:
        """The model with each validation; a snapshot then, too, and every so many steps."""
        step, every = self.progress.step, self.config.save_every
        if not step:
            return
        regular = self._is_regular(step)
        snapshot_due = regular or (every is not None and step % every == 0)
        if regular and self.save is not None and self.ledger.saved_step != step:
            self._save_model()
        if snapshot_due and self.keeper is not None and self.keeper.kept != (step, True):
            self._keep()

    def _save_model(self) -> None:
        self._check_weights()
        try:
            self.world.first_decides(lambda: self.save() and None)
        except InputError as error:
            step = self.progress.step
            raise SaveError(f"the model of step {step:,} is not saved: {error}; {SaveError.ADVICE}") from None
        self.ledger.saved_step = self.progress.step
        self.clock.start()  # nor does saving

    def _keep(self) -> None:
        """Write a snapshot."""
        self.ledger.read()
        self._check_weights()
        self.progress.seconds = self.clock.seconds
        self.keeper.save(self.progress)
        self.ledger.saved_step = self.progress.step
        self.clock.start()

    def _check_weights(self) -> None:
        """What is saved is the last good model: raises DivergedError for weights that are no numbers."""
        broken = first_broken(self.model)
        if broken is not None:
            rate = self.run.steps[-1]["learning_rate"]
            raise DivergedError(self.ledger.diverged(f"{broken} after", self.progress.step, rate))
