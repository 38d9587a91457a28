"""Honest patients who call the three clinics, the passing of time, and the workers that send SMS."""

from __future__ import annotations

import uuid
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from tasks.messaging import deliver_sms
from tests.security import ground
from tests.security.ground import instant
from tests.security.siege.attacks import SPELLINGS, N, Recorded, spelled
from tests.security.siege.camp import Camp, Visit
from tests.webapp.agents.agent import PATHS
from tests.webapp.agents.books import moment


def _facts(line: str) -> list[str]:
    inside = line.rpartition(" [")[2].removesuffix("]") if line.endswith("]") else ""
    return [part for part in inside.split() if "=" in part]


class Patients(Camp):
    """The honest events in the three clinics."""

    @initialize(villain=st.integers(0, 2), steps=st.tuples(*[st.integers(1, 3)] * 3), vapi=st.booleans())
    def life_goes_on(self, villain: int, steps: tuple[int, ...], *, vapi: bool) -> None:
        """Put a patient on the telephone to each clinic; some of them have booked."""
        self.villain = villain
        for clinic in range(3):
            self.a_patient_rings(clinic, vapi=vapi)
            for _ in range(steps[clinic] - 1):
                self.a_call_goes_on(-1, "plain")

    # --- honest patients ------------------------------------------------------------------------

    @precondition(lambda self: len(self.visits) < 8)
    @rule(clinic=st.integers(0, 2), vapi=st.booleans())
    def a_patient_rings(self, clinic: int, *, vapi: bool) -> None:
        there, n = self.clinics[clinic], len(self.visits)
        self.visits.append(
            Visit(
                clinic,
                self._number("78"),
                f"{there.canary} patient {n}",
                f"{there.canary}-call-{uuid.uuid4()}" if vapi else None,
                ground.slot(n // 8, n % 8),
            )
        )
        self.a_call_goes_on(-1, "plain")

    @precondition(lambda self: self._open())
    @rule(n=N, spelling=st.sampled_from(SPELLINGS))
    def a_call_goes_on(self, n: int, spelling: str) -> None:
        """An honest agent's next step; it must succeed in every clinic but the adversary's."""
        visit = self._open()[n % len(self._open())] if n >= 0 else self.visits[-1]
        visit.step += 1
        match visit.step:
            case 1:
                arguments = {
                    "slotId": instant(visit.starts),
                    "calendarId": self.clinics[visit.clinic].calendars[0],
                    "patientName": visit.name,
                    "patientPhone": visit.number,
                }
                facts = self._honestly(visit, "reserve_atomic", arguments)
                visit.hold, visit.contact = facts["holdId"], facts["contactId"]
            case 2:
                self._honestly(visit, "send_otp_code", {"holdId": visit.hold})
                self.the_workers_deliver()
            case 3:
                clinic = self.clinics[visit.clinic].name  # others may have texted the patient meanwhile
                codes = [each for each in self.inbox if each["to"] == visit.number and clinic in each["body"]]
                if not codes or self._over(visit):
                    visit.step = 9
                    return
                visit.code = codes[-1]["body"].split()[0]
                arguments = {
                    "holdId": visit.hold,
                    "providedOTP": spelled(visit.code, spelling),
                    "contactId": visit.contact,
                    "serviceType": self.clinics[visit.clinic].services[0],
                }
                visit.appointment = self._honestly(visit, "verify_otp", arguments)["appointmentId"]
            case 4:
                self.the_workers_deliver()
                self._honestly(visit, "send_confirmation_sms", {"appointmentId": visit.appointment})

    def _open(self) -> list[Visit]:
        return [visit for visit in self.visits if visit.step < 4]

    def _over(self, visit: Visit) -> bool:
        """Whether the hold has expired, or the adversary spoiled it, as an agent of the same clinic may."""
        hold = self.books.by_id("appointment_holds")[visit.hold]
        gone = moment(hold["expires_at"]) <= self.books.now
        assert gone or visit.clinic == self.villain or hold["status"] == "held", (
            "P5: another's hold was spoiled"
        )
        return gone or hold["status"] != "held"

    def _honestly(self, visit: Visit, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        clinic = self.clinics[visit.clinic]
        path = f"/api/vapi/tools/{PATHS[tool]}"
        if visit.call is None:
            body = ground.bare_body(arguments)
        else:
            body = ground.vapi_body([("call_0", tool, arguments)], visit.call, visit.number)
        headers = clinic.headers(body)
        code = visit.code if tool == "verify_otp" else None
        self.recorded.append(Recorded(visit.clinic, path, body, headers, code, visit.call))

        def ask() -> dict[str, Any]:
            response = ground.post(self.client, path, body, headers)
            assert response.status_code == 200
            self._assert_no_patient_shows(response.text)
            answer = response.get_json()
            if visit.call is None:
                self._assert_no_code_shows([answer], clinic)
                facts: dict[str, Any] = answer
                success = answer["success"]
            else:
                [line] = answer["results"]
                self._assert_no_code_shows([line["result"]], clinic)
                facts = dict(field.split("=", 1) for field in _facts(line["result"]))
                success = "code" not in facts
            may_fail = visit.clinic == self.villain or tool == "send_otp_code"
            assert success or may_fail, f"an honest call failed: {answer}"
            if not success:
                visit.step = 9
                facts = {"holdId": "", "contactId": "", "appointmentId": ""} | facts
            return facts

        before = self.books
        facts: dict[str, Any] = self._step(visit.clinic, ask)
        new = self._new_holds_booked(before)
        assert new <= ({visit.hold} if tool == "verify_otp" else set()), f"P4: {tool} booked {new}"
        return facts

    # --- the world ------------------------------------------------------------------------------

    @rule(minutes=st.sampled_from((1, 4, 9, 11, 60)))
    def time_passes(self, minutes: int) -> None:
        self.clock.forward(minutes * 60)
        self._books = None
        self.latest.clear()

    @rule()
    def the_workers_deliver(self) -> None:
        """Send every waiting SMS to Twilio through the real task; the patients read their SMS."""
        waiting = [row for row in self._messages() if row["status"] == "queued"]
        holds = self.books.by_id("appointment_holds")
        booked = self._booked(self.books)

        def deliver() -> None:
            for row in waiting:
                deliver_sms.run(org_id=row["org_id"], message_id=row["id"])

        if waiting:
            self._step(None, deliver)
        assert self._booked(self.books) == booked
        for message in ground.inbox(self.twilio, self.began)[len(self.inbox) :]:
            self.inbox.append(message)
            self._assert_from_a_template(message)
        sent = self.books.by_id("sms_messages")
        for row in waiting:
            if row["kind"] == "otp" and sent[row["id"]]["status"] == "sent" and row["to_phone"] in self.mine:
                assert holds[row["hold_id"]]["patient_phone"] == row["to_phone"]
                self.read[row["hold_id"]] = self._code(row["hold_id"])

    def _assert_from_a_template(self, message: dict[str, str]) -> None:
        """Assert P4: the SMS goes to the number of its hold, and in our own words only."""
        [row] = [row for row in self.books["sms_messages"] if row["provider_id"] == message["sid"]]
        [clinic] = [clinic for clinic in self.clinics if clinic.org_id == row["org_id"]]
        assert message["from"] == clinic.from_number, "P5: through another clinic's number"
        if row["kind"] == "hot_lead_alert":
            assert message["to"] == clinic.owner_phone, "P4: an SMS went astray"
            assert ground.alert_sms(clinic).fullmatch(message["body"]), f"not our words: {message['body']!r}"
            self.reached["its own", "alert"] += 1
            return
        about = self.books.by_id("appointment_holds" if row["kind"] == "otp" else "appointments")
        about_row = about[row["hold_id"] or row["appointment_id"]]
        assert message["to"] == about_row["patient_phone"], "P4: an SMS went astray"
        if row["kind"] == "otp":
            assert message["body"] == ground.code_sms(clinic, self._code(row["hold_id"]))
        else:
            words = ground.confirmation_sms(clinic, moment(about_row["scheduled_at"]))
            assert words.fullmatch(message["body"]), f"not our words: {message['body']!r}"
