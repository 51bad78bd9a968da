"""A row of actions, such as one agent's tool calls: watched for loops, and the loop that goes on is followed."""

from __future__ import annotations

import msgspec

from processors.loops.actions import Action, Mark, Sort
from processors.loops.blindness import Blindness, Growth
from processors.loops.cycles import TELLING_REPETITION, Cycles, Seen, begin_cycles
from processors.loops.episodes import EXACT, NAMES, NEAR, OUTCOME, WORDING, Episode
from processors.loops.outcomes import ANSWERS, FAULTS, Same
from processors.loops.phrasing import Phrasing, begin_phrasing
from schemas.detection import CLOSED

MORE_REPETITIONS = 4
"""Repetitions it takes of one failing call (three are how retries end), and of one answer to ever new questions."""

TURNING_ROUNDS = 2
"""Rounds of agents' whole turns, two or more, that show a run turning in circles, at low confidence until the third."""


class Moment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An action with where it stands."""

    seen: Seen
    action: Action
    end_ms: int
    start_ns: int


class Row(msgspec.Struct, array_like=True):
    """A row of actions, one after the other. `about` says what they are; times are since the run began."""

    about: str
    cycles: Cycles
    phrasing: Phrasing | None = None
    blindness: Blindness | None = None
    episode: Episode | None = None
    end_ms: int = 0
    model_end_ms: int = 0
    same: Same | None = None

    def told_already(self, near: int, start_ms: int) -> bool:
        """Say whether an action equals the last one and began before that ended: reported twice, or parallel."""
        recent = self.cycles.recent
        return bool(recent) and recent[-1].near == near and start_ms < self.end_ms

    def take(self, moment: Moment, growth: Growth) -> list[Episode]:
        """Take the next action; returns the episodes that began, came round twice as often, or closed by it."""
        self.end_ms = max(self.end_ms, moment.end_ms)
        episode = self.episode
        if episode is not None and self._belongs(episode, moment):
            self.same = None
            return [episode] if episode.add(moment.seen, moment.end_ms) else []
        changed = self.cut()
        begun = self._watch(moment, growth)
        if begun is not None:
            changed += self.end()
            self.episode = begun
            changed.append(begun)
        return changed

    def cut(self) -> list[Episode]:
        """Note that something else was done; returns the episode if it closed by that."""
        if self.episode is None or not self.episode.stray():
            return []
        return self.end()

    def forget(self) -> None:
        """Compare what comes now with nothing that was."""
        self.cycles.forget()
        self.phrasing = self.blindness = None

    def end(self) -> list[Episode]:
        """Close the episode that goes on, if there is one, and return it."""
        episode, self.episode = self.episode, None
        if episode is None:
            return []
        episode.status = CLOSED
        return [episode]

    def _belongs(self, episode: Episode, moment: Moment) -> bool:
        if episode.match == OUTCOME:
            return _outcome(moment) == episode.outcome and moment.seen.name in episode.names
        if episode.match != WORDING:
            if moment.seen.near not in episode.cycle:
                return False
            self.forget()
            return True
        words, barren = moment.action.words, self._is_barren(moment)
        if self.phrasing is None or not self.phrasing.follows(moment.seen, words, barren):
            return False
        self.phrasing.add(moment.seen, words, barren)
        self.cycles.take(moment.seen)
        return True

    def _watch(self, moment: Moment, growth: Growth) -> Episode | None:
        if moment.action.marks & Mark.BLIND:
            self.cycles.forget()
            self.phrasing = self.same = None
            return self._watch_blindly(moment, growth)
        self.blindness = None
        self._phrase(moment)
        alone = self._alone(moment)
        self.cycles.take(moment.seen)
        rounds = TURNING_ROUNDS if moment.action.sort == Sort.TURN else TELLING_REPETITION
        period = self.cycles.crossed(alone, rounds)
        if period and not self.cycles.backs_off() and self.cycles.is_named_alike(period):
            return self._cycle_episode(moment, period)
        if self.phrasing is not None and self.phrasing.crossed():
            return self._wording_episode(moment, self.phrasing)
        same = self._same_outcome(moment) if moment.action.sort in (Sort.TOOL, Sort.ASK) else None
        return self._outcome_episode(moment, same) if same is not None else None

    def _alone(self, moment: Moment) -> int:
        action, recent = moment.action, self.cycles.recent
        if action.marks & Mark.FAILED:
            return MORE_REPETITIONS
        if action.sort == Sort.TALK and recent and self._was_told_more(action):
            return MORE_REPETITIONS
        return TELLING_REPETITION

    def _was_told_more(self, action: Action) -> bool:
        """Say whether something new was heard before a saying: not nothing, not the same again, not the last saying."""
        recent = self.cycles.recent
        return action.heard != 0 and not (recent and action.heard in (recent[-1].heard, recent[-1].near))

    def _phrase(self, moment: Moment) -> None:
        words = moment.action.words
        if not words:
            self.phrasing = None
            return
        barren = self._is_barren(moment)
        if self.phrasing is not None and self.phrasing.follows(moment.seen, words, barren):
            self.phrasing.add(moment.seen, words, barren)
        else:
            sort = moment.action.sort
            self.phrasing = begin_phrasing(moment.seen, words, barren or sort == Sort.TALK, sort == Sort.TURN)

    def _is_barren(self, moment: Moment) -> bool:
        """Say whether nothing new came of an action, or nothing new led to it."""
        action = moment.action
        if action.sort in (Sort.TOOL, Sort.ASK):
            return bool(action.marks & Mark.BARREN)
        if action.sort == Sort.TURN:
            return False
        return not self._was_told_more(action)

    def _watch_blindly(self, moment: Moment, growth: Growth) -> Episode | None:
        blindness = self.blindness
        if blindness is None or blindness.first.near != moment.seen.near:
            self.blindness = Blindness(moment.seen)
            return None
        blindness.count += 1
        if not blindness.crossed(growth):
            return None
        episode = self._episode(NAMES, blindness.first, moment, [moment.seen], blindness.count)
        episode.steady = bool(growth.calls)
        return episode

    def _cycle_episode(self, moment: Moment, period: int) -> Episode:
        cycles = self.cycles
        match = EXACT if cycles.is_exact(period) else NEAR
        hits = cycles.runs[period - 1] + period
        return self._episode(match, cycles.starts[period], moment, cycles.recent[-period:], hits)

    def _wording_episode(self, moment: Moment, phrasing: Phrasing) -> Episode:
        return self._episode(WORDING, phrasing.first, moment, [phrasing.first], phrasing.count)

    def _same_outcome(self, moment: Moment) -> Same | None:
        """Count calls of one tool that brought the same; gives them when they are too many."""
        same, fails = self.same, _fails(moment)
        if not (fails or moment.action.marks & Mark.TELLS):
            self.same = None
        elif same is None or not same.goes_on_with(moment.seen, _outcome(moment)):
            self.same = Same(moment.seen, _outcome(moment))
        else:
            same.count += 1
            return same if same.count >= (FAULTS if fails else ANSWERS) else None
        return None

    def _outcome_episode(self, moment: Moment, same: Same) -> Episode:
        episode = self._episode(OUTCOME, same.first, moment, [same.first], same.count)
        episode.outcome = same.outcome
        episode.failed = _fails(moment)
        return episode

    def _episode(self, match: str, first: Seen, moment: Moment, cycle: list[Seen], hits: int) -> Episode:
        between = [
            (seen.span, seen.trace) for seen in self.cycles.recent if first.index < seen.index < moment.seen.index
        ]
        return Episode(
            match=match,
            about=self.about,
            cycle=[seen.near for seen in cycle],
            names=list(dict.fromkeys(seen.name for seen in cycle if seen.name)),
            preview=moment.action.preview,
            first=first,
            crossing=moment.seen,
            between=between,
            crossed_ns=moment.start_ns,
            last=moment.seen,
            last_ms=moment.end_ms,
            hits=hits,
            failed=bool(moment.action.marks & Mark.FAILED),
            unseen=bool(moment.action.marks & Mark.NO_RESULT),
        )


def _fails(moment: Moment) -> bool:
    """Say whether a call failed, by its span or by what its result reads as."""
    return bool(moment.action.marks & Mark.FAILED or moment.action.fault)


def _outcome(moment: Moment) -> int:
    """Fingerprint what came of a call: the kind of fault, if it is one."""
    return moment.action.fault or moment.seen.heard


def begin_row(about: str) -> Row:
    """Make a row that has shown nothing yet."""
    return Row(about, begin_cycles())
