-- A confirmation or cancellation that was with a worker or unknown when the appointment changed may have to be sent
-- again, and would say what is no longer so. A confirmation is for an appointment that stands, a cancellation for
-- one that does not. What another kind of message says of an appointment is judged as it is sent
-- (models/notices). Triggers go by name: this one is before legal_moves.
CREATE OR REPLACE FUNCTION keep_back_superseded_sms() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM appointments a
         WHERE a.id = NEW.appointment_id
           AND CASE NEW.kind
                    WHEN 'confirmation' THEN a.confirmation_message_id <> NEW.id OR a.status = 'cancelled'
                    WHEN 'cancellation' THEN a.status <> 'cancelled'
                    ELSE false END
    ) THEN
        NEW.status := CASE WHEN sms_move_is_legal(OLD.status, 'expired') THEN 'expired' ELSE OLD.status END;
        NEW.cause := 'a later message says something else';
        NEW.error_reason := NEW.cause;
    END IF;
    RETURN NEW;
END $$;
