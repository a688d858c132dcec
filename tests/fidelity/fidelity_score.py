"""`scripts/fidelity`: capture every program of the corpus here, run its job elsewhere, and score how alike they are."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TextIO

from fidelity_case import Case, read_corpus
from fidelity_peers import measure, summary
from fidelity_place import PreparationError
from fidelity_stage import ProductError, Stage, stage
from fidelity_trees import measure_trees, table
from fidelity_verdict import Done, cause, differences


@dataclass
class Score:
    """What is known of one case.

    Attributes:
        differences: causes why it does not agree; none: it does.
        capture_s: seconds until its program was run here and captured.
    """

    case: Case
    differences: list[str] = field(default_factory=list[str])
    capture_s: float = 0.0
    here: Done | None = None
    first: str = ""
    second: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the job did elsewhere what its program did here, and its second launch completed."""
        return not self.differences

    def line(self) -> str:
        """One line for people."""
        return (
            f"{'ok  ' if self.agrees else 'FAIL'} {self.case.name:24} {'; '.join(self.differences) or self.case.about}"
        )


def begin(case: Case, here: Stage) -> Score:
    """Capture a case, and put both its launches on the queue."""
    score, started = Score(case), time.monotonic()
    try:
        score.here = here.capture(case)
        score.capture_s = round(time.monotonic() - started, 1)
        if score.here.exit_code != case.exit_code:
            score.differences.append(f"it ended with {score.here.exit_code} here: {score.here.err.strip()[-300:]}")
        score.first = here.submit(case)
        score.second = here.submit(case, second=True)
    except (ProductError, PreparationError) as error:
        score.differences.append(str(error))
    return score


def finish(score: Score, here: Stage) -> None:
    """Wait for both launches; compare the first one with the capture, and look how the second one ended."""
    case = score.case
    try:
        here.ends(run for run in (score.first, score.second) if run)
        if score.first and score.here:
            there = here.done(score.first)
            if there.files != here.fetched(score.first):
                score.differences.append("the fetched outputs are not those of the run")
            score.differences += differences(score.here, there, case.ignore, case.ignore_files)
        if score.second:
            score.differences += _second(case, here.done(score.second))
    except ProductError as error:
        score.differences.append(str(error))


def _second(case: Case, done: Done) -> list[str]:
    if done.exit_code != case.second.exit_code:
        return [f"second launch ended {done.state} with {done.exit_code}: {cause(done)}"]
    return (
        [] if case.second.says in done.out else [f"second launch did not say {case.second.says!r}: {done.out[-200:]!r}"]
    )


def scores_of(cases: list[Case], queue: str, *, show: TextIO | None = None) -> list[Score]:
    """Run the corpus; what is known of each case goes to `show` as soon as it is."""
    scores: list[Score] = []
    with stage(queue) as here:
        for case in cases:
            scores.append(begin(case, here))
            if show:
                print(f"     {case.name}: captured in {scores[-1].capture_s} s", file=sys.stderr, flush=True)
        for score in scores:  # the queue takes them in this order, too
            finish(score, here)
            if show:
                print(score.line(), file=show, flush=True)
    return scores


def document(scores: list[Score]) -> dict[str, object]:
    """The result in JSON."""
    programs = [
        {
            "name": score.case.name,
            "about": score.case.about,
            "agrees": score.agrees,
            "differences": score.differences,
            "capture_s": score.capture_s,
            "captured": asdict(score.here) if score.here else None,
        }
        for score in scores
    ]
    return {"score": sum(score.agrees for score in scores), "of": len(scores), "programs": programs}


def _result(scores: list[Score], agreed: int) -> str:
    """Our score, and the peers' as they were measured last."""
    lines = [f"peer: {line}" for line in summary({score.case.name for score in scores})]
    return "\n".join([*lines, f"fidelity: {agreed} of {len(scores)}"])


def _stop(_number: int, _frame: object) -> None:
    """Nothing of the two machines is left then, either."""
    sys.exit(143)


def _others(options: argparse.Namespace, cases: list[Case]) -> int:
    """Measure the other tools."""
    today = datetime.now(UTC).date().isoformat()
    if options.trees:
        print(table(measure_trees(today)))
    else:
        measure(cases, today)
        print("\n".join(summary()))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/fidelity", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="cases; default: all")
    parser.add_argument("--short", action="store_true", help="four cheap cases")
    parser.add_argument("--queue", choices=["docker", "process"], default="docker")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--peers", action="store_true", help="measure the other tools on the cases, and keep that")
    parser.add_argument("--trees", action="store_true", help="measure which tool gives which repository back (W6)")
    return parser


def main() -> int:
    """Score the named cases, or all."""
    parser = _parser()
    options = parser.parse_args()
    try:
        cases = read_corpus(options.names, short=options.short)
    except ValueError as error:
        parser.error(str(error))
    signal.signal(signal.SIGTERM, _stop)
    try:
        if options.peers or options.trees:
            return _others(options, cases)
        scores = scores_of(cases, options.queue, show=sys.stderr if options.json else sys.stdout)
    except (PreparationError, ProductError) as error:
        sys.exit(f"fidelity: {error}")
    agreed = sum(score.agrees for score in scores)
    print(json.dumps(document(scores), indent=2) if options.json else _result(scores, agreed))
    return 0 if agreed == len(scores) else 1


if __name__ == "__main__":
    sys.exit(main())
