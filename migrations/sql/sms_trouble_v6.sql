-- What somebody should look at. `late` is by the promise of seconds for an urgent message and a minute for the rest;
-- `sent_twice` comes before all else, whatever became of the message. A message whose patient was erased is nobody's
-- to look at: nothing can be done for it any more. One that waits because its number has been sent many is no
-- trouble until that is over; one that waits because the texts of the day are used up is `held`. The
-- confirmation of an imported appointment is meant not to go out, and is no trouble.
CREATE OR REPLACE VIEW sms_trouble WITH (security_invoker = true) AS
SELECT m.org_id, m.id, m.kind, m.status,
       CASE WHEN twice.message_id IS NOT NULL THEN 'sent_twice'
            WHEN m.status = 'queued' AND m.cause = 'the texts of the day are used up, so it waits' THEN 'held'
            WHEN m.status IN ('queued', 'sending') THEN 'late' ELSE m.status END AS trouble,
       m.created_at, app_clock() - m.created_at AS age, m.attempt, m.next_attempt_at, m.error_code,
       m.error_reason, m.appointment_id, m.hold_id, m.call_sid, m.provider_id
  FROM sms_messages m
  LEFT JOIN (SELECT DISTINCT message_id FROM sms_events WHERE provider_id IS NOT NULL) AS twice
    ON twice.message_id = m.id
 WHERE m.cause <> 'the patient was erased' AND m.to_phone NOT LIKE 'erased:%'
   AND (twice.message_id IS NOT NULL
    OR (m.status IN ('failed', 'unknown', 'undelivered', 'unconfirmed')
        AND m.cause <> 'it was sent anew as another message')
    OR (m.status = 'queued' AND m.cause = 'the texts of the day are used up, so it waits')
    OR (m.status IN ('queued', 'sending')
        AND (m.cause <> 'its number has been sent many texts, so it waits'
             OR m.next_attempt_at < app_clock() - interval '1 minute')
        AND m.created_at < app_clock() - CASE WHEN sms_is_urgent(m.kind) THEN interval '15 seconds' ELSE interval '1 minute' END)
    OR (m.status = 'expired' AND NOT sms_is_urgent(m.kind)
        AND m.cause NOT IN ('a later message says something else', 'another alert tells of it, too',
                             'it was imported, and its patient knows of it')));
