"""`python -m sandbox.twilio`: runs the sandbox as a process of its own."""

import os
import signal

from sandbox.twilio.exchange import Exchange
from sandbox.twilio.server import make_sandbox


def main() -> None:
    port = int(os.environ.get("INBOX_PORT", "3002"))
    server = make_sandbox(Exchange(float(os.environ.get("SANDBOX_STEP_SECONDS", "0.15"))), port)
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: os._exit(0))  # all state is in memory, so there is nothing to save
    print(f"Sandbox Twilio: its inbox is at http://127.0.0.1:{port}/", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
