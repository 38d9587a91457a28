-- Every move and every cancellation is kept: from which time to which, by whom and when. Whoever writes the
-- appointment, plain SQL included, writes this with it.
CREATE OR REPLACE FUNCTION note_appointment_change() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    v_actor text := coalesce(nullif(current_setting('app.actor', true), ''), 'sql ' || session_user);
BEGIN
    IF NEW.scheduled_at <> OLD.scheduled_at THEN
        INSERT INTO appointment_changes (org_id, appointment_id, change, was_at, is_at, actor, created_at)
        VALUES (NEW.org_id, NEW.id, 'moved', OLD.scheduled_at, NEW.scheduled_at, v_actor, app_clock());
    END IF;
    IF NEW.status = 'cancelled' AND OLD.status <> 'cancelled' THEN
        INSERT INTO appointment_changes (org_id, appointment_id, change, was_at, actor, created_at)
        VALUES (NEW.org_id, NEW.id, 'cancelled', NEW.scheduled_at, v_actor, app_clock());
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER note_change AFTER UPDATE OF scheduled_at, status ON appointments FOR EACH ROW
    EXECUTE FUNCTION note_appointment_change();
