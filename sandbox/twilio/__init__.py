"""A Twilio for one machine: the Messages resource on loopback, with an inbox to look at.

    python -m sandbox.twilio            # http://127.0.0.1:3002/, or $INBOX_PORT

It speaks the wire format of https://api.twilio.com/2010-04-01, so the product uses its ordinary client and
sees no difference. It refuses what it does not play (media, scheduling) with an error that says so. Nothing
leaves the machine: callbacks go to loopback addresses only, and no text is ever sent to a phone.

It is kinder than Twilio in two ways. Any 8 to 15 digits are a reachable number: Twilio answers 21211 to
+15551234, which is too short to exist, but is the number of the quick reference's patient. And any password
is accepted; as it takes the place of the auth token, the callbacks of the account are signed with it.

Besides Twilio's magic numbers (TO_REFUSED and FROM_REFUSED), these numbers have a fixed outcome:
+15005550010 ends undelivered with 30003 (switched off), +15005550011 undelivered with 30006 (landline),
+15005550012 stays ``sent`` for ever (no receipt from the carrier), +15005550013 fails with 30001.
"""
