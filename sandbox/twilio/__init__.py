"""A Twilio for one machine: the Messages resource on loopback, with an inbox to look at.

    python -m sandbox.twilio            # http://127.0.0.1:3002/, or $INBOX_PORT

It speaks the wire of https://api.twilio.com/2010-04-01, so the product talks to it with the ordinary
client and knows no difference. What it does not play (media, scheduling) it refuses aloud. Nothing
leaves the machine: callbacks go to loopback addresses only, and no text is ever sent to a phone.

Where it is kinder than Twilio: any 8 to 15 digits are a reachable number. Twilio answers 21211 to
+15551234, which is too short to exist; our demo clinic's patient has exactly that number.
Any password is a good one; the account's callbacks are signed with it, as with the auth token it is.

Numbers with a fate of their own, besides Twilio's magic ones (``TO_REFUSED``, ``FROM_REFUSED``):
+15005550010 ends undelivered with 30003 (switched off), +15005550011 undelivered with 30006 (landline),
+15005550012 stays ``sent`` for ever (no receipt from the carrier), +15005550013 fails with 30001.
"""
