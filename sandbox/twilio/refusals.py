"""What Twilio refuses, in Twilio's words."""

from typing import Any

ERRORS = {
    20001: (400, "{}"),
    20003: (401, "Authenticate"),
    20005: (403, "Account not active"),
    20006: (403, "Access Denied"),
    20008: (403, "Resource not accessible with Test Account Credentials"),
    20010: (403, "Action disabled for account"),
    20403: (403, "Forbidden"),
    20404: (404, "The requested resource {} was not found"),
    20429: (429, "Too Many Requests"),
    20500: (500, "Internal Server Error"),
    21211: (400, "The 'To' number {} is not a valid phone number."),
    21212: (400, "The 'From' number {} is not a valid phone number, shortcode, or alphanumeric sender ID."),
    21408: (
        400,
        "Permission to send an SMS has not been enabled for the region indicated by the 'To' number: {}",
    ),
    21602: (400, "Message body is required."),
    21603: (400, "A 'From' phone number is required."),
    21604: (400, "A 'To' phone number is required."),
    21606: (400, "The 'From' phone number provided ({}) is not a valid message-capable Twilio phone number."),
    21609: (400, "The 'StatusCallback' URL {} is not a valid URL."),
    21610: (400, "Attempt to send to unsubscribed recipient"),
    21611: (400, "This 'From' number has exceeded the maximum number of queued messages"),
    21612: (400, "The 'To' phone number {} is not currently reachable via SMS."),
    21614: (400, "'To' number {} is not a valid mobile number"),
    21617: (400, "The concatenated message body exceeds the 1600 character limit"),
    21705: (400, "The Messaging Service Sid {} is invalid."),
    30409: (400, "This message cannot be canceled"),
    63038: (429, "Account exceeded the daily messages limit"),
}


class RefusedError(Exception):
    """An error in the form of Twilio's answers."""

    def __init__(self, code: int, about: str = "", *, message: str = "") -> None:
        self.status, template = ERRORS.get(code, (400, "Refused, as scripted"))
        self.code = code
        self.message = message or template.format(about)
        super().__init__(self.message)

    def body(self) -> dict[str, Any]:
        more = f"https://www.twilio.com/docs/errors/{self.code}"
        return {"code": self.code, "message": self.message, "more_info": more, "status": self.status}
