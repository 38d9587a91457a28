-- What becomes of an appointment's confirmation when a newer one takes its place, or none is wanted any more.

-- The row of an appointment, locked. Its confirmation's row comes first: a worker that records what became of
-- an SMS goes that way round, from the message to its appointment.
CREATE OR REPLACE FUNCTION lock_appointment(p_appointment uuid, p_org uuid) RETURNS appointments
LANGUAGE plpgsql AS $$
DECLARE
    v_appointment appointments;
BEGIN
    PERFORM FROM sms_messages m
      WHERE m.id = (SELECT a.confirmation_message_id FROM appointments a WHERE a.id = p_appointment AND a.org_id = p_org)
        FOR UPDATE;
    SELECT * INTO v_appointment FROM appointments a WHERE a.id = p_appointment AND a.org_id = p_org FOR UPDATE;
    RETURN v_appointment;
END $$;

-- Why an appointment can be neither moved nor cancelled; nulls if it can.
CREATE OR REPLACE FUNCTION why_appointment_stays(
    p_appointment appointments, p_message uuid, p_now timestamptz, OUT error text, OUT code text
)
LANGUAGE plpgsql AS $$
BEGIN
    IF (p_appointment).status IS DISTINCT FROM 'confirmed' THEN
        code := 'appointment_' || coalesce((p_appointment).status, 'gone');
        error := 'Appointment already ' || coalesce((p_appointment).status, 'gone');
    ELSIF (p_appointment).confirmation_message_id <> p_message THEN
        error := 'A later message says something else'; code := 'superseded';
    ELSIF (p_appointment).scheduled_at <= p_now THEN
        error := 'The appointment has begun'; code := 'appointment_begun';
    END IF;
END $$;

-- The confirmation that said what is no longer so: its link is used up, and if it still waits it never goes out.
CREATE OR REPLACE FUNCTION end_confirmation(p_message uuid, p_outcome text, p_now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sms_messages m
       SET status = 'expired', cause = 'a later message says something else',
           error_reason = 'a later message says something else'
     WHERE m.id = p_message AND m.status = 'queued';
    UPDATE patient_links l SET used_at = p_now, outcome = p_outcome
     WHERE l.message_id = p_message AND l.used_at IS NULL;
END $$;

-- appointments.confirmation_sms_* speak of the newest confirmation from the moment that it is the newest;
-- tell_appointment_of_its_sms keeps them true from then on.
CREATE OR REPLACE FUNCTION follow_newer_confirmation() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    SELECT m.provider_id IS NOT NULL, m.provider_id, m.sent_at
      INTO NEW.confirmation_sms_sent, NEW.confirmation_sms_id, NEW.confirmation_sms_sent_at
      FROM sms_messages m WHERE m.id = NEW.confirmation_message_id;
    NEW.confirmation_sms_sent := coalesce(NEW.confirmation_sms_sent, false);
    RETURN NEW;
END $$;
CREATE TRIGGER follow_newer_confirmation BEFORE UPDATE OF confirmation_message_id ON appointments FOR EACH ROW
    WHEN (OLD.confirmation_message_id IS DISTINCT FROM NEW.confirmation_message_id)
    EXECUTE FUNCTION follow_newer_confirmation();

-- A confirmation that was with a worker or unknown when the newer one came may have to be sent again: it
-- would say what is no longer so. Triggers go by name: this one is before legal_moves.
CREATE OR REPLACE FUNCTION keep_back_superseded_sms() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM appointments a
         WHERE a.id = NEW.appointment_id
           AND (a.confirmation_message_id <> NEW.id OR a.status = 'cancelled')
    ) THEN
        NEW.status := CASE WHEN sms_move_is_legal(OLD.status, 'expired') THEN 'expired' ELSE OLD.status END;
        NEW.cause := 'a later message says something else';
        NEW.error_reason := NEW.cause;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep_back_superseded BEFORE UPDATE OF status ON sms_messages FOR EACH ROW
    WHEN (NEW.kind = 'confirmation' AND NEW.status = 'queued' AND OLD.status <> 'queued')
    EXECUTE FUNCTION keep_back_superseded_sms();
