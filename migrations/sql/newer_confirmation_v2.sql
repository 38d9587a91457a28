-- An SMS about an appointment that was with a worker or unknown when the appointment changed may have to be
-- sent again, and would say what is no longer so. A confirmation is for an appointment that stands, a
-- cancellation for one that does not. Triggers go by name: this one is before legal_moves.
CREATE OR REPLACE FUNCTION keep_back_superseded_sms() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM appointments a
         WHERE a.id = NEW.appointment_id
           AND CASE NEW.kind WHEN 'cancellation' THEN a.status <> 'cancelled'
                    ELSE a.confirmation_message_id <> NEW.id OR a.status = 'cancelled' END
    ) THEN
        NEW.status := CASE WHEN sms_move_is_legal(OLD.status, 'expired') THEN 'expired' ELSE OLD.status END;
        NEW.cause := 'a later message says something else';
        NEW.error_reason := NEW.cause;
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER keep_back_superseded BEFORE UPDATE OF status ON sms_messages FOR EACH ROW
    WHEN (NEW.appointment_id IS NOT NULL AND NEW.status = 'queued' AND OLD.status <> 'queued')
    EXECUTE FUNCTION keep_back_superseded_sms();
