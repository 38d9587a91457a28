-- Whatever takes time takes it in occupancies: one row for each person, room and device, from the beginning of
-- the buffer before to the end of the buffer after. These triggers alone write that table, so that every way of
-- making a hold, an appointment or a block, raw SQL included, meets the exclusion constraint.
--
-- A transaction takes its locks in the order of lock_keys_v1.sql. After the resources, which are sorted, come the
-- service that has a limit for each day, the rows, and the clinic's blocks (blocks_lock_key).

-- Everything that a hold or an appointment takes up: the one it is with, and what else.
CREATE FUNCTION all_resources(p_first text, p_others text[]) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT p_first || p_others $$;

-- Takes the locks of resources, sorted as Python sorts: the one order in which several are taken
-- (lock_keys_v1.sql).
CREATE FUNCTION lock_resources(p_org uuid, p_resources text[]) RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    IF cardinality(p_resources) = 1 THEN
        PERFORM pg_advisory_xact_lock(resource_lock_key(p_org, p_resources[1]));
    ELSE
        PERFORM pg_advisory_xact_lock(resource_lock_key(p_org, r.id))
           FROM (SELECT DISTINCT u.id COLLATE "C" AS id FROM unnest(p_resources) u(id) ORDER BY 1) r;
    END IF;
END $$;

-- The blocks of a clinic. Those who give time back share this lock, and a block is made, changed or removed by one
-- alone. Otherwise a block that does not see yet that an appointment is cancelled, and a cancellation that does not
-- see the block yet, would leave time free that is blocked. The holder waits for no other transaction but for one
-- that has inserted into the time of the block, so no deadlock arises.
CREATE FUNCTION blocks_lock_key(p_org uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT hashtextextended('blocks/' || p_org::text, 0) $$;

-- Who and what can do a service that is asked for by a calendar, whatever the hours are: a JSON array with an
-- option for each person, sorted by id. An option is an array of needs, the person first, then room and device as
-- far as the service needs them; each need is an array of the ids that meet it. Null if nobody can do it.
--
-- A calendar that names a resource means that one, if it can do the service. Where no person is needed, a room
-- leads; where no room is, a device.
CREATE FUNCTION options_of(p_org uuid, p_calendar text, p_service text) RETURNS jsonb
LANGUAGE sql STABLE
AS $$
    WITH able AS (
        SELECT r.id, r.time_zone, array_position(ARRAY['person', 'room', 'device'], r.kind) AS kind
          FROM service_resources s
          JOIN resources r ON r.org_id = s.org_id AND r.id = s.resource_id
         WHERE s.org_id = p_org AND s.service_id = p_service AND r.retired_at IS NULL
    ), others AS (
        SELECT coalesce(jsonb_agg(n.ids ORDER BY n.kind), '[]') AS needs
          FROM (
            SELECT a.kind, jsonb_agg(a.id ORDER BY a.id COLLATE "C") AS ids
              FROM able a WHERE a.kind > (SELECT min(kind) FROM able) GROUP BY a.kind
          ) n
    )
    SELECT jsonb_agg(jsonb_build_array(jsonb_build_array(a.id)) || o.needs ORDER BY a.id COLLATE "C")
      FROM calendars c, others o, able a
     WHERE c.org_id = p_org AND c.id = p_calendar AND a.kind = (SELECT min(kind) FROM able)
       AND (a.id = c.resource_id
            OR a.time_zone = c.time_zone AND NOT EXISTS (
                SELECT FROM able b WHERE b.id = c.resource_id AND b.kind = a.kind
            ))
$$;

-- What raw SQL may leave out of a hold or an appointment, because the calendar and its service know it. The
-- resources are the first that can do the service; whether they are free is for the constraint to say.
CREATE FUNCTION given_by_calendar(
    p_org uuid,
    p_calendar text,
    p_at timestamptz,
    p_service text,
    OUT service_id text,
    OUT resource_id text,
    OUT other_resources text[],
    OUT ends_at timestamptz,
    OUT minutes_before integer,
    OUT minutes_after integer
)
LANGUAGE sql STABLE
AS $$
    SELECT s.id, o.needs -> 0 ->> 0,
           coalesce((SELECT array_agg(n.ids ->> 0 ORDER BY n.place)
                       FROM jsonb_array_elements(o.needs) WITH ORDINALITY n(ids, place) WHERE n.place > 1), '{}'),
           p_at + make_interval(mins => s.minutes), s.minutes_before, s.minutes_after
      FROM calendars c
      JOIN services s ON s.org_id = c.org_id AND s.id = coalesce((
        -- One that is not there is left to the foreign key.
        SELECT n.id FROM services n WHERE n.org_id = p_org AND n.id = p_service
      ), c.service_id),
           LATERAL (SELECT options_of(p_org, p_calendar, s.id) -> 0 AS needs) o
     WHERE c.org_id = p_org AND c.id = p_calendar
$$;

CREATE OR REPLACE FUNCTION fill_in_hold_from_calendar() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    v_given record;
BEGIN
    SELECT * INTO v_given FROM given_by_calendar(NEW.org_id, NEW.calendar_id, NEW.starts_at, NEW.service_id);
    IF NEW.resource_id IS NULL THEN
        NEW.resource_id := v_given.resource_id;
        NEW.other_resources := coalesce(v_given.other_resources, '{}');
    END IF;
    IF NEW.ends_at IS NULL THEN
        NEW.service_id := coalesce(NEW.service_id, v_given.service_id);
        NEW.ends_at := v_given.ends_at;
        NEW.minutes_before := coalesce(v_given.minutes_before, 0);
        NEW.minutes_after := coalesce(v_given.minutes_after, 0);
    END IF;
    RETURN NEW;
END $$;

-- One that comes from a hold takes what the hold took.
CREATE OR REPLACE FUNCTION fill_in_appointment_from_calendar() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    v_given record;
BEGIN
    SELECT h.service_id, h.resource_id, h.other_resources, h.ends_at, h.minutes_before, h.minutes_after
      INTO v_given
      FROM appointment_holds h
     WHERE h.org_id = NEW.org_id AND h.id = NEW.hold_id AND h.starts_at = NEW.scheduled_at;
    IF NOT FOUND THEN
        SELECT * INTO v_given FROM given_by_calendar(NEW.org_id, NEW.calendar_id, NEW.scheduled_at, NEW.service_id);
    END IF;
    IF NEW.resource_id IS NULL THEN
        NEW.resource_id := v_given.resource_id;
        NEW.other_resources := coalesce(v_given.other_resources, '{}');
    END IF;
    IF NEW.ends_at IS NULL THEN
        NEW.service_id := coalesce(NEW.service_id, v_given.service_id);
        NEW.ends_at := v_given.ends_at;
        NEW.minutes_before := coalesce(v_given.minutes_before, 0);
        NEW.minutes_after := coalesce(v_given.minutes_after, 0);
    END IF;
    RETURN NEW;
END $$;

-- Where it is not said who booked: the telephone did if there was a hold, else a person at the desk.
CREATE FUNCTION fill_in_who_booked() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    NEW.booked_by := CASE WHEN NEW.hold_id IS NULL THEN 'desk' ELSE 'phone' END;
    IF NEW.booked_by = 'desk' THEN
        NEW.booker := coalesce(
            NEW.booker, nullif(current_setting('app.actor', true), ''), 'sql ' || session_user
        );
    END IF;
    RETURN NEW;
END $$;

-- The functions below look at one resource at a time: with `= ANY` the planner reads a whole table of occupancies
-- that it has no statistics of.

-- Takes a time of resources for a hold or an appointment, all or none of it.
--
-- Nobody waits here for another to give a time back: what is taken is refused. And ON CONFLICT makes a writer wait
-- for another one that is taking the same time before it has inserted its own row, where a bare INSERT inserts
-- first and then waits. Since all insert in the same order, no two writers wait for each other, whether they have
-- locked the resources or not.
CREATE FUNCTION take_time(
    p_org uuid,
    p_resources text[],
    p_seat integer,
    p_from timestamptz,
    p_until timestamptz,
    p_hold uuid,
    p_appointment uuid
) RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_resource text;
    v_taken text;
    v_took integer;
BEGIN
    FOREACH v_resource IN ARRAY p_resources LOOP
        IF EXISTS (
            SELECT FROM occupancies o
             WHERE o.org_id = p_org AND o.resource_id = v_resource AND o.seat = p_seat
               AND o.starts_at > p_from - interval '24 hours' AND o.starts_at < p_until AND o.ends_at > p_from
        ) OR p_seat = 0 AND EXISTS (  -- one that the desk put beside another keeps its time when that one has gone
            SELECT FROM occupancies o
             WHERE o.org_id = p_org AND o.resource_id = v_resource AND o.seat > 0
               AND o.starts_at > p_from - interval '24 hours' AND o.starts_at < p_until AND o.ends_at > p_from
        ) THEN
            v_taken := v_resource;
            EXIT;
        END IF;
    END LOOP;
    IF v_taken IS NULL THEN
        INSERT INTO occupancies (org_id, resource_id, seat, starts_at, ends_at, hold_id, appointment_id)
        SELECT p_org, r.id, p_seat, p_from, p_until, p_hold, p_appointment
          FROM (SELECT u.id FROM unnest(p_resources) u(id) ORDER BY u.id COLLATE "C") r
            ON CONFLICT DO NOTHING;
        GET DIAGNOSTICS v_took = ROW_COUNT;
    END IF;
    IF v_took IS DISTINCT FROM cardinality(p_resources) THEN
        RAISE EXCEPTION '% is taken between % and %',
                        coalesce(v_taken, array_to_string(p_resources, ' or ')), p_from, p_until
            USING ERRCODE = 'exclusion_violation', TABLE = 'occupancies', CONSTRAINT = 'ex_occupancies_no_overlap';
    END IF;
END $$;

-- A hold occupies its time while it is 'held', whether or not it has expired meanwhile: a stale one is
-- cleared by the next claim that needs the time, or by holds.expire. What it gives back goes to the blocks that
-- waited for it.
CREATE OR REPLACE FUNCTION hold_occupies() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    v_resource text;
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM pg_advisory_xact_lock_shared(blocks_lock_key(OLD.org_id));
        FOREACH v_resource IN ARRAY all_resources(OLD.resource_id, OLD.other_resources) LOOP
            DELETE FROM occupancies o
             WHERE o.org_id = OLD.org_id AND o.resource_id = v_resource AND o.seat = OLD.seat
               AND o.starts_at = OLD.starts_at - make_interval(mins => OLD.minutes_before)
               AND o.hold_id = OLD.id;
        END LOOP;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        IF NEW.status = 'held' THEN
            PERFORM take_time(
                NEW.org_id, all_resources(NEW.resource_id, NEW.other_resources), NEW.seat,
                NEW.starts_at - make_interval(mins => NEW.minutes_before),
                NEW.ends_at + make_interval(mins => NEW.minutes_after), NEW.id, NULL
            );
        END IF;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        PERFORM give_to_blocks(OLD.org_id, all_resources(OLD.resource_id, OLD.other_resources),
            OLD.starts_at - make_interval(mins => OLD.minutes_before),
            OLD.ends_at + make_interval(mins => OLD.minutes_after));
    END IF;
    RETURN NULL;
END $$;

-- An appointment takes over the rows of the hold it came from, by UPDATE, so that the time is never free in
-- between. Without such a hold it must find the time free. A cancelled one lets go.
CREATE OR REPLACE FUNCTION appointment_occupies() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    v_from timestamptz;
    v_until timestamptz;
    v_resource text;
    v_missing text[] := '{}';
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM pg_advisory_xact_lock_shared(blocks_lock_key(OLD.org_id));
        FOREACH v_resource IN ARRAY all_resources(OLD.resource_id, OLD.other_resources) LOOP
            DELETE FROM occupancies o
             WHERE o.org_id = OLD.org_id AND o.resource_id = v_resource AND o.seat = OLD.seat
               AND o.starts_at = OLD.scheduled_at - make_interval(mins => OLD.minutes_before)
               AND o.appointment_id = OLD.id;
        END LOOP;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        IF NEW.status <> 'cancelled' THEN
            v_from := NEW.scheduled_at - make_interval(mins => NEW.minutes_before);
            v_until := NEW.ends_at + make_interval(mins => NEW.minutes_after);
            FOREACH v_resource IN ARRAY all_resources(NEW.resource_id, NEW.other_resources) LOOP
                UPDATE occupancies o SET hold_id = NULL, appointment_id = NEW.id
                 WHERE o.org_id = NEW.org_id AND o.resource_id = v_resource AND o.seat = NEW.seat
                   AND o.starts_at = v_from AND o.ends_at = v_until AND o.hold_id = NEW.hold_id;
                IF NOT FOUND THEN
                    v_missing := v_missing || v_resource;
                END IF;
            END LOOP;
            IF cardinality(v_missing) <= cardinality(NEW.other_resources) THEN
                -- Without its time it can be held no more, whoever made the appointment. What it held besides
                -- is given back by this, too.
                UPDATE appointment_holds h SET status = 'confirmed' WHERE h.id = NEW.hold_id AND h.status = 'held';
            END IF;
            IF cardinality(v_missing) > 0 THEN
                PERFORM take_time(NEW.org_id, v_missing, NEW.seat, v_from, v_until, NULL, NEW.id);
            END IF;
        END IF;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        PERFORM give_to_blocks(OLD.org_id, all_resources(OLD.resource_id, OLD.other_resources),
            OLD.scheduled_at - make_interval(mins => OLD.minutes_before),
            OLD.ends_at + make_interval(mins => OLD.minutes_after));
    END IF;
    RETURN NULL;
END $$;

-- --- blocks ------------------------------------------------------------------------------------------------

-- Gives a block what is free of a part of its time, in pieces of at most 24 hours: no occupancy is longer, which
-- bounds how far back a search looks.
--
-- A piece that meets what another transaction has inserted meanwhile is not inserted: then what is left free is
-- looked for again.
CREATE FUNCTION occupy_for_block(
    p_org uuid, p_resource text, p_block uuid, p_from timestamptz, p_until timestamptz
) RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_free integer;
    v_took integer;
BEGIN
    LOOP
        WITH taken AS (
            SELECT o.starts_at, o.ends_at
              FROM occupancies o
             WHERE o.org_id = p_org AND o.resource_id = p_resource AND o.seat = 0
               AND o.starts_at > p_from - interval '24 hours' AND o.starts_at < p_until AND o.ends_at > p_from
        ), gap AS (
            -- Occupancies of one resource never overlap: between one's end and the next one's beginning it is free.
            SELECT t.ends_at AS begins, lead(t.starts_at, 1, p_until) OVER (ORDER BY t.starts_at) AS ends FROM taken t
            UNION ALL
            SELECT p_from, coalesce(min(t.starts_at), p_until) FROM taken t
        ), piece AS (
            SELECT b.begins, least(b.begins + interval '24 hours', g.ends) AS ends
              FROM gap g, generate_series(g.begins, g.ends - interval '1 microsecond', interval '24 hours') b(begins)
             WHERE g.begins < g.ends
        ), took AS (
            INSERT INTO occupancies (org_id, resource_id, starts_at, ends_at, block_id)
            SELECT p_org, p_resource, p.begins, p.ends, p_block FROM piece p ORDER BY p.begins
                ON CONFLICT DO NOTHING
            RETURNING 1
        )
        SELECT (SELECT count(*) FROM piece), (SELECT count(*) FROM took) INTO v_free, v_took;
        EXIT WHEN v_took = v_free;
    END LOOP;
END $$;

-- Gives time that has come free to the blocks that reach over it.
CREATE FUNCTION give_to_blocks(p_org uuid, p_resources text[], p_from timestamptz, p_until timestamptz)
RETURNS void
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_block record;
BEGIN
    FOR v_block IN
        SELECT b.id, b.resource_id, greatest(b.starts_at, p_from) AS begins, least(b.ends_at, p_until) AS ends
          FROM blocks b
         WHERE b.org_id = p_org AND b.resource_id = ANY (p_resources) AND b.ends_at > p_from
           AND b.starts_at < p_until
         ORDER BY b.created_at, b.id
    LOOP
        PERFORM occupy_for_block(p_org, v_block.resource_id, v_block.id, v_block.begins, v_block.ends);
    END LOOP;
END $$;

-- A block takes what is free of its time, and the rest as that comes free. What was booked before stands.
--
-- Once for a statement and not for each row, so that a statement on several blocks has the locks of all of their
-- resources, sorted, before it takes anything.
CREATE FUNCTION blocks_occupy() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    v_block record;
BEGIN
    IF TG_OP = 'INSERT' THEN
        PERFORM lock_for_blocks(n.org_id, array_agg(n.resource_id)) FROM new_blocks n GROUP BY n.org_id;
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM lock_for_blocks(o.org_id, array_agg(o.resource_id)) FROM old_blocks o GROUP BY o.org_id;
    ELSE
        PERFORM lock_for_blocks(b.org_id, array_agg(b.resource_id))
           FROM (SELECT org_id, resource_id FROM old_blocks UNION SELECT org_id, resource_id FROM new_blocks) b
          GROUP BY b.org_id;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM occupancies o
         USING old_blocks b
         WHERE o.org_id = b.org_id AND o.resource_id = b.resource_id AND o.seat = 0
           AND o.starts_at >= b.starts_at AND o.starts_at < b.ends_at AND o.block_id = b.id;
        FOR v_block IN SELECT b.* FROM old_blocks b LOOP
            PERFORM give_to_blocks(
                v_block.org_id, ARRAY[v_block.resource_id], v_block.starts_at, v_block.ends_at
            );
        END LOOP;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        FOR v_block IN SELECT b.* FROM new_blocks b ORDER BY b.created_at, b.id LOOP
            PERFORM occupy_for_block(
                v_block.org_id, v_block.resource_id, v_block.id, v_block.starts_at, v_block.ends_at
            );
        END LOOP;
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION lock_for_blocks(p_org uuid, p_resources text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_resources(p_org, p_resources);
    PERFORM pg_advisory_xact_lock(blocks_lock_key(p_org));
END $$;

CREATE OR REPLACE FUNCTION refuse_direct_occupancy() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'occupancies follows appointment_holds, appointments and blocks; change those'
        USING ERRCODE = 'insufficient_privilege';
END $$;

DROP TRIGGER occupy_update ON appointment_holds;
CREATE TRIGGER occupy_update AFTER UPDATE ON appointment_holds FOR EACH ROW
    WHEN ((OLD.status = 'held' OR NEW.status = 'held')
          AND (OLD.status, OLD.org_id, OLD.resource_id, OLD.other_resources, OLD.seat, OLD.starts_at, OLD.ends_at,
               OLD.minutes_before, OLD.minutes_after, OLD.id)
              IS DISTINCT FROM
              (NEW.status, NEW.org_id, NEW.resource_id, NEW.other_resources, NEW.seat, NEW.starts_at, NEW.ends_at,
               NEW.minutes_before, NEW.minutes_after, NEW.id))
    EXECUTE FUNCTION hold_occupies();

DROP TRIGGER occupy_update ON appointments;
CREATE TRIGGER occupy_update AFTER UPDATE ON appointments FOR EACH ROW
    WHEN ((OLD.status = 'cancelled', OLD.org_id, OLD.resource_id, OLD.other_resources, OLD.seat, OLD.scheduled_at,
           OLD.ends_at, OLD.minutes_before, OLD.minutes_after, OLD.id)
          IS DISTINCT FROM
          (NEW.status = 'cancelled', NEW.org_id, NEW.resource_id, NEW.other_resources, NEW.seat, NEW.scheduled_at,
           NEW.ends_at, NEW.minutes_before, NEW.minutes_after, NEW.id))
    EXECUTE FUNCTION appointment_occupies();

CREATE TRIGGER fill_in_who_booked BEFORE INSERT ON appointments FOR EACH ROW
    WHEN (NEW.booked_by IS NULL) EXECUTE FUNCTION fill_in_who_booked();

CREATE TRIGGER occupy_insert AFTER INSERT ON blocks
    REFERENCING NEW TABLE AS new_blocks FOR EACH STATEMENT EXECUTE FUNCTION blocks_occupy();
CREATE TRIGGER occupy_update AFTER UPDATE ON blocks
    REFERENCING OLD TABLE AS old_blocks NEW TABLE AS new_blocks FOR EACH STATEMENT EXECUTE FUNCTION blocks_occupy();
CREATE TRIGGER occupy_delete AFTER DELETE ON blocks
    REFERENCING OLD TABLE AS old_blocks FOR EACH STATEMENT EXECUTE FUNCTION blocks_occupy();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON blocks EXECUTE FUNCTION refuse_truncate();
