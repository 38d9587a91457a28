-- Every move and every cancellation is kept: from which time and person to which, by whom and when. Whoever writes
-- the appointment, plain SQL included, writes this with it. was_ends_at and was_resource_id say which time was left,
-- so that the staff can see whether it is free.
CREATE OR REPLACE FUNCTION note_appointment_change() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    v_actor text := coalesce(nullif(current_setting('app.actor', true), ''), 'sql ' || session_user);
BEGIN
    IF NEW.scheduled_at <> OLD.scheduled_at OR NEW.resource_id <> OLD.resource_id THEN
        INSERT INTO appointment_changes (
            org_id, appointment_id, change, was_at, was_ends_at, was_resource_id, is_at, is_resource_id, actor,
            created_at
        ) VALUES (
            NEW.org_id, NEW.id, 'moved', OLD.scheduled_at, OLD.ends_at, OLD.resource_id, NEW.scheduled_at,
            NEW.resource_id, v_actor, app_clock()
        );
    END IF;
    IF NEW.status = 'cancelled' AND OLD.status <> 'cancelled' THEN
        INSERT INTO appointment_changes (
            org_id, appointment_id, change, was_at, was_ends_at, was_resource_id, actor, created_at
        ) VALUES (
            NEW.org_id, NEW.id, 'cancelled', NEW.scheduled_at, NEW.ends_at, NEW.resource_id, v_actor, app_clock()
        );
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER note_change ON appointments;
CREATE TRIGGER note_change AFTER UPDATE OF scheduled_at, resource_id, status ON appointments FOR EACH ROW
    EXECUTE FUNCTION note_appointment_change();
