-- The legal moves of a message; models/sms_states.py has the same table in words, and a test compares them.
CREATE OR REPLACE FUNCTION sms_move_is_legal(p_from text, p_to text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT p_from = p_to OR p_to = ANY (CASE p_from
        WHEN 'queued' THEN '{sending,sent,delivered,undelivered,failed,expired}'::text[]
        WHEN 'sending' THEN '{queued,sent,delivered,undelivered,failed,unknown,expired}'
        WHEN 'unknown' THEN '{queued,sent,delivered,undelivered,failed,expired}'
        WHEN 'sent' THEN '{delivered,undelivered,failed,unconfirmed}'
        WHEN 'unconfirmed' THEN '{delivered,undelivered,failed}'
        WHEN 'undelivered' THEN '{delivered}'
        WHEN 'failed' THEN '{queued,sent,delivered,undelivered}'
        WHEN 'expired' THEN '{queued,sent,delivered,undelivered,failed}'
        ELSE '{}' END)
$$;

-- What failed before the provider had it may be tried again, or turn out to have been sent by an earlier
-- attempt; what failed at the provider does neither.
CREATE OR REPLACE FUNCTION refuse_illegal_sms_move() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT sms_move_is_legal(OLD.status, NEW.status)
       OR (OLD.status = 'failed' AND OLD.provider_id IS NOT NULL AND NEW.status <> 'delivered') THEN
        RAISE EXCEPTION 'a message that is % cannot become %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'sms_move_is_legal';
    END IF;
    RETURN NEW;
END $$;

-- What somebody should look at. `late` is by the promise of seconds for a code and a minute for the rest;
-- `sent_twice` comes before all else, whatever became of the message.
CREATE OR REPLACE VIEW sms_trouble WITH (security_invoker = true) AS
SELECT m.org_id, m.id, m.kind, m.status,
       CASE WHEN twice.message_id IS NOT NULL THEN 'sent_twice'
            WHEN m.status IN ('queued', 'sending') THEN 'late' ELSE m.status END AS trouble,
       m.created_at, app_clock() - m.created_at AS age, m.attempt, m.next_attempt_at, m.error_code,
       m.error_reason, m.appointment_id, m.hold_id, m.call_sid, m.provider_id
  FROM sms_messages m
  LEFT JOIN (SELECT DISTINCT message_id FROM sms_events WHERE provider_id IS NOT NULL) AS twice
    ON twice.message_id = m.id
 WHERE twice.message_id IS NOT NULL
    OR (m.status IN ('failed', 'unknown', 'undelivered', 'unconfirmed')
        AND m.cause <> 'it was sent anew as another message')
    OR (m.status IN ('queued', 'sending')
        AND m.created_at < app_clock() - CASE m.kind WHEN 'otp' THEN interval '15 seconds' ELSE interval '1 minute' END)
    OR (m.status = 'expired' AND m.kind <> 'otp' AND m.cause <> 'a later message says something else');
