"""Telephone calls through every real part: web, Redis, workers, beat, Postgres, Twilio's client."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psutil
import psycopg
import pytest
import redis
import requests

from sandbox import answers, caller, demo, plays, seed
from tests.factories import phone_number, slot
from tests.stack import Stack, eventually

pytestmark = pytest.mark.journey

#: Redis may cost a request its bound once; watching the SMS costs 2 s more.
WITHIN = 5.0


def test_the_demo_tells_its_story(stack: Stack) -> None:
    assert demo.tell_the_story(
        web_url=stack.web_url, inbox_url=stack.inbox_url, database_url=stack.database_url
    )


@pytest.mark.parametrize("play", sorted(plays.PLAYS))
def test_a_caller(stack: Stack, play: str) -> None:
    plays.PLAYS[play](stack.world)


class Patient:
    """Books in the quick reference's form, step by step, so that things can go wrong in between."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.phone = phone_number()
        self.slowest = 0.0
        self.hold = ""
        self.appointment = ""

    def _tool(self, path: str, **arguments: object) -> dict[str, object]:
        answer, seconds = self.stack.tool(path, **arguments)
        self.slowest = max(self.slowest, seconds)
        assert answer["success"], answer
        return answer

    def reserve(self) -> None:
        free = self._tool("calendar/check", tenantId=str(seed.LONDON), date=self._free_day())
        slots = free["slots"]
        assert isinstance(slots, list)
        held = self._tool(
            "booking/reserve-atomic",
            tenantId=str(seed.LONDON),
            slotId=slots[-1]["slotId"],
            patientName="Ada",
            patientPhone=self.phone,
        )
        self.hold = str(held["holdId"])

    def _free_day(self) -> str:
        return time.strftime("%Y-%m-%d", time.gmtime(time.time() + 30 * 86400))

    def ask_for_code(self) -> dict[str, object]:
        return self._tool("booking/send-otp", holdId=self.hold)

    def read_code(self, *, within: float = 60.0) -> str:
        [code] = eventually(lambda: self.stack.inbox(self.phone), within=within)
        return answers.read_code(code)

    def verify(self, code: str) -> None:
        self.appointment = str(
            self._tool("booking/verify-otp", holdId=self.hold, providedOTP=code)["appointmentId"]
        )

    def confirm(self) -> dict[str, object]:
        return self._tool("booking/send-confirmation", appointmentId=self.appointment)

    def has_exactly_one_confirmation(self) -> None:
        eventually(
            lambda: self.stack.row(
                "SELECT 1 FROM sms_confirmation_logs l JOIN appointments a ON a.id = l.appointment_id"
                " WHERE a.id = %s AND l.status = 'delivered' AND a.confirmation_sms_sent",
                self.appointment,
            ),
            within=300,
        )
        texts = self.stack.inbox(self.phone)
        assert len([text for text in texts if text.startswith("Confirmed:")]) == 1
        assert len(texts) == 2


@contextmanager
def frozen(stack: Stack) -> Iterator[None]:
    server = stack.server("valkey-server")
    server.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.send_signal(signal.SIGCONT)


def test_with_redis_frozen_every_tool_answers_and_the_sms_follow(stack: Stack) -> None:
    patient = Patient(stack)
    with frozen(stack):
        patient.reserve()
        assert patient.ask_for_code()["codeSent"] is False
    code = patient.read_code()
    with frozen(stack):
        patient.verify(code)
        assert patient.confirm()["status"] == "queued"
    patient.has_exactly_one_confirmation()
    assert patient.slowest < WITHIN


def test_one_tool_call_sent_many_times_at_once_has_one_effect_and_one_answer(stack: Stack) -> None:
    call = caller.Call(stack.web_url, phone_number(), str(seed.LONDON))
    slots = call.tool("check_availability", date=slot(days=50)[:10]).slots
    steps = [
        call.envelope("reserve_atomic", slotId=slots[0].id, patientName="Ada"),
        call.envelope("send_otp_code"),
    ]
    with ThreadPoolExecutor(8) as pool:
        for step in steps:
            answers = {answer.text for answer in pool.map(call.send, [step] * 8)}
            assert len(answers) == 1, answers
    assert len(eventually(lambda: stack.inbox(call.customer or ""))) == 1


def test_redis_killed_in_the_middle_of_a_call(stack: Stack) -> None:
    patient = Patient(stack)
    patient.reserve()
    server = stack.server("valkey-server")
    server.kill()
    patient.ask_for_code()
    patient.verify(patient.read_code())
    patient.confirm()
    patient.has_exactly_one_confirmation()
    assert patient.slowest < WITHIN


def test_the_workers_killed_in_the_middle_of_a_call(stack: Stack) -> None:
    patient = Patient(stack)
    patient.reserve()
    for worker in stack.processes("celery", "worker"):
        worker.kill()
    patient.ask_for_code()
    patient.verify(patient.read_code())
    for worker in stack.processes("celery", "worker"):
        worker.kill()
    patient.confirm()
    patient.has_exactly_one_confirmation()
    assert patient.slowest < WITHIN


def test_redis_emptied_in_the_middle_of_a_call(stack: Stack) -> None:
    patient = Patient(stack)
    patient.reserve()
    patient.ask_for_code()
    redis.Redis.from_url(stack.redis_url).flushall()
    patient.verify(patient.read_code())
    redis.Redis.from_url(stack.redis_url).flushall()
    patient.has_exactly_one_confirmation()


def test_the_database_killed_in_the_middle_of_a_call(stack: Stack) -> None:
    patient = Patient(stack)
    patient.reserve()
    postmaster = stack.server("bin/postgres", "-D")
    call = caller.Call(stack.web_url, patient.phone, str(seed.LONDON))
    postmaster.kill()
    answer = call.tool("reserve_atomic", slotId=slot(days=40), patientName="Ada")
    assert answer.status == 200
    assert "holdId" in answer.facts or answer.text.startswith("NOT BOOKED")
    assert answer.ms < WITHIN * 1000
    eventually(lambda: _answers(stack), within=300)
    patient.ask_for_code()
    patient.verify(patient.read_code())
    patient.confirm()
    patient.has_exactly_one_confirmation()


def test_the_database_frozen_in_the_middle_of_a_call(stack: Stack) -> None:
    """Its limits are frozen with it. The agent is told in the 20 seconds that Vapi gives a tool call."""
    patient = Patient(stack)
    patient.reserve()
    postmaster = stack.server("bin/postgres", "-D")
    frozen = [postmaster, *postmaster.children(recursive=True)]
    try:
        for process in frozen:
            process.suspend()
        answer = caller.Call(stack.web_url, patient.phone, str(seed.LONDON)).tool(
            "reserve_atomic", slotId=slot(days=41), patientName="Ada"
        )
    finally:
        for process in frozen:
            process.resume()
    assert answer.status == 200
    assert answer.text.startswith("NOT BOOKED: I cannot reach the diary")
    assert answer.ms < 20_000
    eventually(lambda: _answers(stack), within=300)
    patient.ask_for_code()
    patient.verify(patient.read_code())
    patient.confirm()
    patient.has_exactly_one_confirmation()


def _answers(stack: Stack) -> bool:
    try:
        return bool(stack.row("SELECT 1"))
    except psycopg.OperationalError:
        return False


def test_no_code_is_left_in_a_log(stack: Stack) -> None:
    patient = Patient(stack)
    patient.reserve()
    patient.ask_for_code()
    code = patient.read_code()
    patient.verify(code)
    patient.has_exactly_one_confirmation()
    for log in stack.logs.iterdir():
        lines = log.read_text(errors="replace").splitlines()
        # A figure in a time stamp or a process id is not the code: look where it stands alone.
        assert not [line for line in lines if f" {code} " in f" {line} " or f"'{code}'" in line], log.name


def test_all_processes_together_stay_within_a_small_plan(stack: Stack) -> None:
    """Small managed plans allow 20 connections to Postgres and 20 to Redis."""
    for _ in range(8):
        stack.tool("calendar/check", tenantId=str(seed.LONDON), date="tomorrow")
    workers = f"{stack.flower_url}/api/workers?refresh=1"
    requests.get(workers, auth=("holdline", "holdline"), timeout=60).raise_for_status()
    [postgres] = stack.row(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()"
    )
    clients = redis.Redis.from_url(stack.redis_url).client_list()
    assert postgres <= 20
    assert len(clients) - 1 <= 20, [client["name"] for client in clients]


@pytest.mark.parametrize(
    ("path", "shows"),
    [
        ("/", "otp@"),
        ("/tasks", "Tasks"),
        ("/broker", "housekeeping"),
        ("/metrics", "python_info"),
        ("/api/workers?refresh=1", "active_queues"),
        ("/api/queues/length", "housekeeping"),
    ],
)
def test_flower_shows_tasks_and_queues_to_whoever_knows_its_password(
    stack: Stack, path: str, shows: str
) -> None:
    for auth in (None, ("holdline", "guess")):
        refused = requests.get(stack.flower_url + path, auth=auth, timeout=60)
        assert refused.status_code == 401
        assert shows not in refused.text
    workers = f"{stack.flower_url}/api/workers?refresh=1"

    def shown() -> bool:  # it knows the workers that answered when it last asked; others killed some of them
        requests.get(workers, auth=("holdline", "holdline"), timeout=60)
        answer = requests.get(stack.flower_url + path, auth=("holdline", "holdline"), timeout=60)
        assert answer.status_code == 200
        return shows in answer.text

    eventually(shown)


def test_flower_changes_nothing_for_whoever_knows_its_password(stack: Stack) -> None:
    [worker] = {process.pid for process in stack.processes("-n otp@%h")[:1]}
    for path in ("worker/shutdown/otp@x", "worker/pool/grow/otp@x", "task/send-task/sms.deliver_sms"):
        answer = requests.post(f"{stack.flower_url}/api/{path}", auth=("holdline", "holdline"), timeout=60)
        assert answer.status_code == 403, (path, answer.status_code)
    assert psutil.pid_exists(worker)
