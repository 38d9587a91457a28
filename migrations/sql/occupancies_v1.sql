-- occupancies is written by these triggers alone, so that every way of making a hold or an
-- appointment, raw SQL included, meets the exclusion constraint.

-- Raw SQL may leave out what the calendar knows.
CREATE FUNCTION fill_in_hold_from_calendar() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    SELECT coalesce(NEW.resource_id, c.resource_id),
           coalesce(NEW.ends_at, NEW.starts_at + make_interval(mins => c.slot_minutes))
      INTO NEW.resource_id, NEW.ends_at
      FROM calendars c WHERE c.org_id = NEW.org_id AND c.id = NEW.calendar_id;
    RETURN NEW;
END $$;

CREATE FUNCTION fill_in_appointment_from_calendar() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    SELECT coalesce(NEW.resource_id, c.resource_id),
           coalesce(NEW.ends_at, NEW.scheduled_at + make_interval(mins => c.slot_minutes))
      INTO NEW.resource_id, NEW.ends_at
      FROM calendars c WHERE c.org_id = NEW.org_id AND c.id = NEW.calendar_id;
    RETURN NEW;
END $$;

-- A hold occupies its time while it is 'held', whether or not it has expired meanwhile: a stale one is
-- cleared by the next claim that needs the time, or by holds.expire_holds.
CREATE FUNCTION hold_occupies() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM occupancies o
         WHERE o.org_id = OLD.org_id AND o.resource_id = OLD.resource_id AND o.seat = OLD.seat
           AND o.starts_at = OLD.starts_at AND o.hold_id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        IF NEW.status = 'held' THEN
            INSERT INTO occupancies (org_id, resource_id, seat, starts_at, ends_at, hold_id)
            VALUES (NEW.org_id, NEW.resource_id, NEW.seat, NEW.starts_at, NEW.ends_at, NEW.id);
        END IF;
    END IF;
    RETURN NULL;
END $$;

-- An appointment takes over the row of the hold it came from, by UPDATE, so that the time is never
-- free in between. Without such a hold it must find the time free. A cancelled one lets go.
CREATE FUNCTION appointment_occupies() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM occupancies o
         WHERE o.org_id = OLD.org_id AND o.resource_id = OLD.resource_id AND o.seat = OLD.seat
           AND o.starts_at = OLD.scheduled_at AND o.appointment_id = OLD.id;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        IF NEW.status <> 'cancelled' THEN
            UPDATE occupancies o SET hold_id = NULL, appointment_id = NEW.id
             WHERE o.org_id = NEW.org_id AND o.resource_id = NEW.resource_id AND o.seat = NEW.seat
               AND o.starts_at = NEW.scheduled_at AND o.ends_at = NEW.ends_at AND o.hold_id = NEW.hold_id;
            IF FOUND THEN
                -- Without its time it can be held no more, whoever made the appointment.
                UPDATE appointment_holds h SET status = 'confirmed' WHERE h.id = NEW.hold_id AND h.status = 'held';
            ELSE
                INSERT INTO occupancies (org_id, resource_id, seat, starts_at, ends_at, appointment_id)
                VALUES (NEW.org_id, NEW.resource_id, NEW.seat, NEW.scheduled_at, NEW.ends_at, NEW.id);
            END IF;
        END IF;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION refuse_direct_occupancy() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'occupancies follows appointment_holds and appointments; change those'
        USING ERRCODE = 'insufficient_privilege';
END $$;

CREATE TRIGGER fill_in_from_calendar BEFORE INSERT ON appointment_holds FOR EACH ROW
    WHEN (NEW.resource_id IS NULL OR NEW.ends_at IS NULL) EXECUTE FUNCTION fill_in_hold_from_calendar();
CREATE TRIGGER fill_in_from_calendar BEFORE INSERT ON appointments FOR EACH ROW
    WHEN (NEW.resource_id IS NULL OR NEW.ends_at IS NULL) EXECUTE FUNCTION fill_in_appointment_from_calendar();

CREATE TRIGGER occupy_insert AFTER INSERT ON appointment_holds FOR EACH ROW
    WHEN (NEW.status = 'held') EXECUTE FUNCTION hold_occupies();
CREATE TRIGGER occupy_update AFTER UPDATE ON appointment_holds FOR EACH ROW
    WHEN ((OLD.status = 'held' OR NEW.status = 'held')
          AND (OLD.status, OLD.org_id, OLD.resource_id, OLD.seat, OLD.starts_at, OLD.ends_at, OLD.id)
              IS DISTINCT FROM
              (NEW.status, NEW.org_id, NEW.resource_id, NEW.seat, NEW.starts_at, NEW.ends_at, NEW.id))
    EXECUTE FUNCTION hold_occupies();
CREATE TRIGGER occupy_delete AFTER DELETE ON appointment_holds FOR EACH ROW
    WHEN (OLD.status = 'held') EXECUTE FUNCTION hold_occupies();

CREATE TRIGGER occupy_insert AFTER INSERT ON appointments FOR EACH ROW
    WHEN (NEW.status <> 'cancelled') EXECUTE FUNCTION appointment_occupies();
CREATE TRIGGER occupy_update AFTER UPDATE ON appointments FOR EACH ROW
    WHEN ((OLD.status = 'cancelled', OLD.org_id, OLD.resource_id, OLD.seat, OLD.scheduled_at, OLD.ends_at, OLD.id)
          IS DISTINCT FROM
          (NEW.status = 'cancelled', NEW.org_id, NEW.resource_id, NEW.seat, NEW.scheduled_at, NEW.ends_at, NEW.id))
    EXECUTE FUNCTION appointment_occupies();
CREATE TRIGGER occupy_delete AFTER DELETE ON appointments FOR EACH ROW
    WHEN (OLD.status <> 'cancelled') EXECUTE FUNCTION appointment_occupies();

CREATE TRIGGER only_by_trigger BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON occupancies
    FOR EACH STATEMENT WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION refuse_direct_occupancy();
-- TRUNCATE fires no row trigger: it would leave the times of the vanished rows taken for ever.
CREATE FUNCTION refuse_truncate() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'use DELETE: TRUNCATE would leave occupancies behind';
END $$;
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON appointment_holds EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON appointments EXECUTE FUNCTION refuse_truncate();
