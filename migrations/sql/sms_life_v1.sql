-- The legal moves of a message; models/sms.py has the same table in words, and a test compares them.
CREATE OR REPLACE FUNCTION sms_move_is_legal(p_from text, p_to text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT p_from = p_to OR p_to = ANY (CASE p_from
        WHEN 'queued' THEN '{sending,sent,delivered,undelivered,failed,expired}'::text[]
        WHEN 'sending' THEN '{queued,sent,delivered,undelivered,failed,unknown,expired}'
        WHEN 'unknown' THEN '{queued,sent,delivered,undelivered,failed,expired}'
        WHEN 'sent' THEN '{delivered,undelivered,failed,unconfirmed}'
        WHEN 'unconfirmed' THEN '{delivered,undelivered,failed}'
        WHEN 'undelivered' THEN '{delivered}'
        WHEN 'failed' THEN '{queued,delivered}'
        WHEN 'expired' THEN '{queued,sent,delivered,undelivered,failed}'
        ELSE '{}' END)
$$;

CREATE OR REPLACE FUNCTION refuse_illegal_sms_move() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT sms_move_is_legal(OLD.status, NEW.status) THEN
        RAISE EXCEPTION 'a message that is % cannot become %', OLD.status, NEW.status
            USING ERRCODE = 'check_violation', CONSTRAINT = 'sms_move_is_legal';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER legal_moves BEFORE UPDATE OF status ON sms_messages FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION refuse_illegal_sms_move();

-- Every move, when and why, whoever made it.
CREATE OR REPLACE FUNCTION note_sms_move() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO sms_events (org_id, message_id, from_status, to_status, cause, attempt, error_code, created_at)
    VALUES (
        NEW.org_id, NEW.id, CASE WHEN TG_OP = 'UPDATE' THEN OLD.status END, NEW.status, NEW.cause,
        NEW.attempt, NEW.error_code, app_clock()
    );
    RETURN NULL;
END $$;
CREATE TRIGGER note_first AFTER INSERT ON sms_messages FOR EACH ROW EXECUTE FUNCTION note_sms_move();
CREATE TRIGGER note_move AFTER UPDATE OF status ON sms_messages FOR EACH ROW
    WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION note_sms_move();

-- What somebody should look at. `late` is by the promise of seconds for a code and a minute for the rest.
CREATE VIEW sms_trouble WITH (security_invoker = true) AS
SELECT m.org_id, m.id, m.kind, m.status,
       CASE WHEN m.status IN ('queued', 'sending') THEN 'late' ELSE m.status END AS trouble,
       m.created_at, app_clock() - m.created_at AS age, m.attempt, m.next_attempt_at, m.error_code,
       m.error_reason, m.appointment_id, m.hold_id, m.call_sid, m.provider_id
  FROM sms_messages m
 WHERE m.status IN ('failed', 'unknown', 'undelivered', 'unconfirmed')
    OR (m.status IN ('queued', 'sending')
        AND m.created_at < app_clock() - CASE m.kind WHEN 'otp' THEN interval '15 seconds' ELSE interval '1 minute' END)
    OR (m.status = 'expired' AND m.kind <> 'otp' AND m.cause <> 'a later message says something else');

-- One line a clinic: how its SMS are doing now.
CREATE VIEW sms_health WITH (security_invoker = true) AS
SELECT o.id AS org_id,
       count(m.id) FILTER (WHERE m.status IN ('queued', 'sending')) AS waiting,
       count(m.id) FILTER (WHERE m.status IN ('queued', 'sending')
             AND m.created_at < app_clock() - interval '1 minute') AS late,
       count(m.id) FILTER (WHERE m.status = 'unknown') AS unknown,
       count(m.id) FILTER (WHERE m.status IN ('failed', 'undelivered')) AS failed_today,
       count(m.id) FILTER (WHERE m.status = 'delivered') AS delivered_today,
       max(app_clock() - m.created_at) FILTER (WHERE m.status IN ('queued', 'sending')) AS oldest_waiting,
       s.stopped_at AS sender_stopped_at, s.stopped_code AS sender_stopped_code,
       s.stopped_reason AS sender_stopped_reason
  FROM organizations o
  LEFT JOIN sms_messages m ON m.org_id = o.id
       AND (m.created_at > app_clock() - interval '24 hours' OR m.status IN ('queued', 'sending', 'unknown'))
  LEFT JOIN sms_senders s ON s.org_id = o.id
 GROUP BY o.id, s.org_id;
