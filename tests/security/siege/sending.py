"""How the adversary makes and sends a tool call, and the promises that its answer must keep."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from hypothesis import note

from tests.security import ground
from tests.security.ground import Clinic, Everything, instant
from tests.security.siege.attacks import EXTRAS, HOSTILE, ODD, Recorded, Spoil, Way, Wish, digits_of, spelled
from tests.security.siege.patients import Patients
from tests.webapp.agents.agent import PATHS
from tests.webapp.agents.books import moment


def nth(rows: list[Any], n: int) -> Any:
    return rows[n % len(rows)] if rows else None


class Sending(Patients):
    """Turns wishes into requests, and checks the promises after each."""

    # --- the adversary --------------------------------------------------------------------------

    def _effects(self) -> list[str]:
        """The rows of all clinics, except `tool_calls`, which say what was answered and when."""
        return [line for line in self.books.lines if not line.startswith("tool_calls ")]

    def _had_its_way(self, request: Recorded, answer: Any) -> None:
        self.latest.pop(request.call, None)
        said = json.dumps(answer)
        if '"success": false' not in said and "code=" not in said:
            self.latest[request.call] = request, time.monotonic()

    # --- how it sends ---------------------------------------------------------------------------

    def _attack(self, wishes: list[Wish], way: Way) -> None:
        if not wishes:
            return
        call_id = self._call_id(way.call, way.n)
        vapi = way.vapi or wishes[0].tool not in PATHS
        wishes = wishes if vapi else wishes[:1]
        calls = []
        for place, wish in enumerate(wishes):
            key = "call_0" if not way.fresh and place == 0 else f"call_{uuid.uuid4()}"
            calls.append((key, wish.tool, self._arguments(wish, call_id)))
        path = f"/api/vapi/tools/{PATHS.get(wishes[0].tool, 'calendar/check')}"
        if vapi:
            body = ground.vapi_body(calls, call_id, self.mine[wishes[0].n % 2])
        else:
            body = ground.bare_body(calls[0][2], call_id)
        digits = {
            agent_digits
            for _, name, arguments in calls
            if name == "verify_otp"
            and (agent_digits := digits_of(arguments.get("providedOTP"), self.own.code_length)) is not None
        }
        headers = self.own.headers(body)
        code = next(iter(digits), None)
        before = self.books
        self.recorded.append(Recorded(self.villain, path, body, headers, code, call_id))
        answer = self._send(path, body, headers, digits)
        self._had_its_way(self.recorded[-1], answer)
        self._assert_answered(answer, [(key, name) for key, name, _ in calls] if vapi else None)
        self._assert_tries(before, calls, call_id, len(calls))

    def _send(self, path: str, body: bytes, headers: dict[str, str], digits: set[str]) -> Any:
        """Send a request, and check the answer and the changed rows against the promises."""
        before = self.books

        def ask() -> Any:
            response = ground.post(self.client, path, body, headers)
            note(f"{path} {body!r} -> {response.status_code} {response.text}")
            assert response.status_code == 200 or (
                response.status_code == 400 and b'"message"' not in body
            ), f"P6: {response.status_code} {response.text}"
            self._assert_nothing_leaks(response.get_json(), str(response.headers))
            return response.get_json()

        answer = self._step(self.villain, ask)
        for hold in self._new_holds_booked(before):
            assert hold in self.read, "P4: booked, and nobody had read the code"
            assert self._code(hold) in digits, "P4: booked without its code"
        return answer

    def _arguments(self, wish: Wish, call_id: str | None) -> dict[str, Any]:
        arguments = self._as_it_should_be(wish, call_id)
        for spoil in wish.spoiled:
            if spoil.name == "extra":
                name, value = EXTRAS[spoil.n % len(EXTRAS)]
                arguments[name] = self._other(spoil.n).org_id if value == "other" else value
            elif spoil.how == "missing":
                arguments.pop(spoil.name, None)
            else:
                arguments[spoil.name] = self._spoiled(spoil)
        return arguments

    def _as_it_should_be(self, wish: Wish, call_id: str | None) -> dict[str, Any]:
        holds = self._newest("appointment_holds", self.own)
        of_call = [row for row in holds if row["call_sid"] in (None, call_id)]
        hold = nth(of_call or holds, wish.n)
        named = {"holdId": hold["id"]} if hold else {}
        match wish.tool:
            case "check_availability":
                return {"date": ground.slot(20, wish.n).date().isoformat()}
            case "reserve_atomic":
                return {
                    "slotId": instant(ground.slot(20, wish.n)),
                    "patientName": HOSTILE[wish.n],
                    "patientPhone": self.mine[wish.n % 2],
                } | ({"patientName": "Eve"} if wish.n in (0, 1) else {})
            case "send_otp_code":
                return named
            case "verify_otp":
                code = self._said(wish, hold["id"] if hold else None)
                return named | {"providedOTP": code, "serviceType": HOSTILE[wish.n]}
            case "send_confirmation_sms":
                booking = nth(self._newest("appointments", self.own), wish.n)
                return {"appointmentId": booking["id"]} if booking else {}
            case _:
                return named | {"sql": HOSTILE[2]}

    def _said(self, wish: Wish, hold: str | None) -> Any:
        """A code that the adversary has read, or a guess that cannot be an unread code by chance."""
        if wish.code == "hostile":
            return (*HOSTILE, *ODD)[wish.n * 3 % (len(HOSTILE) + len(ODD))]
        if wish.code == "read" and hold in self.read:
            return spelled(self.read[hold], wish.spelling)
        if wish.code == "of another hold" and self.read:
            code = list(self.read.values())[wish.n % len(self.read)]
            if code not in self._unread(self.own):
                return spelled(code, wish.spelling)
        unread, length = self._unread(self.own), self.own.code_length
        guesses = (str((wish.n * 1111 + step) % 10**length).zfill(length) for step in range(1000))
        return spelled(next(guess for guess in guesses if guess not in unread), wish.spelling)

    def _unread(self, clinic: Clinic) -> set[str]:
        """The codes of a clinic that the adversary has not read, and must not guess by chance."""
        holds = self._newest("appointment_holds", clinic)
        return {self._code(row["id"]) for row in holds if row["id"] not in self.read}

    def _spoiled(self, spoil: Spoil) -> Any:
        if spoil.name == "patientPhone" and spoil.how != "hostile":
            return {
                "mine": self.mine[spoil.n % 2],
                "theirs": self.visits[spoil.n % len(self.visits)].number,
                "of nobody": f"+44740079{spoil.n:04}",
                "spelled": self.mine[0].replace("+44", "0"),
            }[spoil.how]
        if spoil.how == "odd":
            return ODD[spoil.n % len(ODD)]
        if spoil.how in ("own", "other", "swapped", "random"):
            return self._id(spoil)
        return HOSTILE[(spoil.n * 7 + len(spoil.name)) % len(HOSTILE)]

    def _id(self, spoil: Spoil) -> str:
        clinic = self.own if spoil.how == "own" else self._other(spoil.n)
        tables = {"holdId": "appointment_holds", "appointmentId": "appointments", "contactId": "contacts"}
        if spoil.how == "swapped":
            ids = [
                *(row["id"] for name in tables.values() for row in self._newest(name, clinic)),
                *(clinic.org_id, clinic.credential_id),
            ]
            return str(ids[spoil.n % len(ids)])
        if spoil.how != "random":
            if spoil.name == "tenantId":
                return clinic.org_id
            if spoil.name == "calendarId":
                return clinic.calendars[spoil.n % 2]
            if row := nth(self._newest(tables[spoil.name], clinic), spoil.n):
                return str(row["id"])
        return str(uuid.UUID(int=spoil.n))

    def _call_id(self, which: str, n: int) -> str | None:
        if which in ("none", "hostile"):
            return None if which == "none" else HOSTILE[n % len(HOSTILE)]
        if which in self.calls:
            return self.calls[which]
        own = which == "of a patient"
        calls = [v.call for v in self.visits if v.call and (v.clinic == self.villain) == own]
        return calls[n % len(calls)] if calls else self._other(n).old_call

    # --- the promises ---------------------------------------------------------------------------

    def _assert_tries(
        self, before: Everything, calls: list[tuple[str, str, dict[str, Any]]], call_id: str | None, most: int
    ) -> None:
        """Assert P4: a try is counted whenever a code was compared, and at no other time."""
        was, now = before.by_id("appointment_holds"), self.books.by_id("appointment_holds")
        spent = {key: now[key]["code_tries"] - was[key]["code_tries"] for key in was}
        assert all(0 <= each <= most for each in spent.values())
        [(_, name, arguments), *more] = calls
        hold = was.get(str(arguments.get("holdId")))
        if more or name != "verify_otp" or hold is None:
            return
        code = digits_of(arguments.get("providedOTP"), self.own.code_length)
        spoiled = {"contactId", "tenantId"} & set(arguments) or len(
            str(arguments.get("serviceType", ""))
        ) > 120
        compared = (
            not spoiled
            and code is not None
            and len(code) == self.own.code_length
            and hold["org_id"] == self.own.org_id
            and (call_id is None or hold["call_sid"] in (None, call_id))
            and hold["status"] == "held"
            and hold["code_digest"] is not None
            and moment(hold["expires_at"]) > self.books.now
        )
        if compared and call_id is None:  # within a call the request may be a repeat
            assert spent[hold["id"]] == 1, "P4: a guess was not counted"
        elif not compared and (code is None or len(code) == self.own.code_length):
            assert sum(spent.values()) == 0 or spoiled, "P4: a try was taken that was none"
