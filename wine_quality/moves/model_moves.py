"""Registered models: their versions in the order of their numbers, and then their roles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from wine_quality.moves.conversation import Conversation, QuestionFailedError
from wine_quality.moves.inventory import Entry, Inventory, is_copied, mark_of
from wine_quality.moves.marks import PLACEHOLDER_TAG
from wine_quality.moves.report import Report
from wine_quality.tracking.registry.champion import PREVIOUS_TAG
from wine_quality.tracking.registry.roles import CHALLENGER, CHAMPION

_REPORT_EVERY = 100


class ModelMoves:
    """
    Args:
        server: The source, for people.
    """

    def __init__(
        self,
        source: Conversation,
        target: Conversation,
        server: str,
        report: Report,
        say: Callable[[str], None],
    ) -> None:
        self._source, self._target = source, target
        self._server, self._report, self._say = server, report, say
        self._done = 0

    def move(self, has: Inventory, before: Inventory) -> None:
        """All models.

        Raises:
            MoveError: a process of a side ended.
        """
        for name, model in has.models.items():
            versions = has.versions.get(name, [])
            question = {"name": name, "description": model["description"]}
            try:
                opened = self._target.one("open model", **question, server=self._server)
            except QuestionFailedError as error:
                self._report.miss("model", name, str(error))
                for one in versions:
                    self._report.miss("version", _title(one), "its model was not moved")
                continue
            copies, placeholders = self._versions(versions, before.versions.get(name, []))
            numbers = {one["number"]: copy for one, copy in copies}
            known = before.numbers(name)
            for one, copy in copies:
                if not is_copied(known.get(mark_of(one))):
                    self._settle(one, copy, numbers)
            self._settle_model(model, numbers, opened["is_new"])
            for number in placeholders:
                _all(self._target.ask("remove version", model=name, number=number))

    def _versions(
        self, versions: list[Entry], there: list[Entry]
    ) -> tuple[list[tuple[Entry, str]], list[str]]:
        """Make those that are not there, each with its own number where that is free.

        Numbers cannot be chosen, only counted up: what is skipped at the source is a placeholder
        until all versions are there.

        Returns:
            Each version with its number at the target, and the placeholders' numbers.
        """
        placeholders = [one["number"] for one in there if PLACEHOLDER_TAG in one["tags"]]
        known = {mark_of(one): one for one in there if PLACEHOLDER_TAG not in one["tags"]}
        last = max((int(one["number"]) for one in there), default=0)
        copies: list[tuple[Entry, str]] = []
        numbers: dict[str, str] = {}
        for version in versions:
            copy = known.get(mark_of(version))
            if copy is None:
                try:
                    while last + 1 < int(version["number"]):
                        last = int(self._make(version, numbers, placeholder=True))
                        placeholders.append(str(last))
                    number = self._make(version, numbers, placeholder=False)
                except QuestionFailedError as error:
                    self._report.miss("version", _title(version), str(error))
                    continue
                last = int(number)
                self._tick()
            else:
                number = copy["number"]
            if number != version["number"]:
                self._report.notes.append(f"{_title(version)} is version {number} here")
            copies.append((version, number))
            numbers[version["number"]] = number
        return copies, placeholders

    def _make(self, version: Entry, numbers: dict[str, str], placeholder: bool) -> str:
        question: dict[str, Any] = {"version": version, "mark": mark_of(version)}
        question |= {"numbers": _named(version, numbers), "server": self._server}
        question["placeholder"] = placeholder
        return self._target.one("make version", **question)["number"]

    def _settle(self, version: Entry, number: str, numbers: dict[str, str]) -> None:
        title = _title(version)
        try:
            which = {"model": version["model"], "number": version["number"]}
            signed = self._source.one("read version", **which)
            question = {"version": version, "number": number}
            question["numbers"] = _named(version, numbers)
            settled = self._target.one("settle version", **question, claims=signed["claims"])
        except QuestionFailedError as error:
            self._report.miss("version", title, str(error))
            return
        for problem in settled["problems"]:
            self._report.miss("version", title, problem)
        if signed["reason"]:
            self._report.miss("signature", title, signed["reason"])
        elif signed["claims"] is None:
            self._report.notes.append(f"{title} carries no signature, as at the source")

    def _settle_model(self, model: Entry, numbers: dict[str, str], is_new: bool) -> None:
        name = model["name"]
        try:
            roles = self._source.one("read roles", model=name)
            question = {"model": model, "numbers": numbers, "roles": roles, "is_new": is_new}
            settled = self._target.one("settle model", **question)
        except QuestionFailedError as error:
            self._report.miss("roles", name, str(error))
            return
        self._report.notes += settled["notes"]
        for problem in (*roles["conflicts"], *settled["problems"]):
            self._report.miss("role", name, problem)
        for role in (CHAMPION, CHALLENGER):
            if roles[role] and roles[role] not in numbers:
                self._report.miss("role", name, f"the {role}, version {roles[role]}, was not moved")
        held = {role: settled.get(role) for role in (CHAMPION, CHALLENGER)}
        self._report.roles.append({"model": name, **held})

    def _tick(self) -> None:
        self._done += 1
        if self._done % _REPORT_EVERY == 0:
            self._say(f"{self._done} versions are registered …")


def _named(version: Entry, numbers: dict[str, str]) -> dict[str, str]:
    """The numbers that the version's tags name, out of up to 10,000."""
    named = version["tags"].get(PREVIOUS_TAG, "")
    return {named: numbers[named]} if named in numbers else {}


def _title(version: Entry) -> str:
    return f"{version['model']} version {version['number']}"


def _all(answers: Iterator[object]) -> None:
    for _ in answers:
        pass
