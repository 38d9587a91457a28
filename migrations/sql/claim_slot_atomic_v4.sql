-- Holds one slot for p_hold_minutes, or says why not: the person, and the room and the device that the service
-- needs, all or none of them. Exactly one of any number of callers who want the last of one of them is told success.
--
-- p_asked says who asks, and how many times may be held before anybody has proved them (make_room_for_hold); with
-- `service` and `options` (choose_resources) also for what, and who is open then. Without it, as from a prompt, the
-- calendar's own service is held with whoever can do it, and no hours and no limits count.
--
-- The lock order of the whole schema is in lock_keys_v1.sql and occupancies_v2.sql: the resources, sorted, then the
-- service, if it has a limit for each day, then rows, then the clinic's unproved holds. The exclusion constraint on
-- occupancies is the guarantee; the locks make the refusal quick, and a deadlock impossible among callers who take
-- this path. The contact is made under the last lock, too: a caller with p_asked has the lock of the number
-- (models/booking/holds.py), so that no other transaction makes the same contact.
CREATE FUNCTION claim_slot_atomic(
    p_org uuid,
    p_calendar text,
    p_slot timestamptz,
    p_call_sid text,
    p_patient_name text,
    p_patient_phone text,
    p_hold_minutes integer,
    p_asked jsonb DEFAULT NULL
)
RETURNS TABLE (
    success boolean,
    hold_id uuid,
    error text,
    code text,
    expires_at timestamptz,
    held_by_call text,
    contact_id uuid,
    resource_id text
)
LANGUAGE plpgsql
-- One plan for every call: planning anew each time cost a third of the function.
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_service record;
    v_options jsonb;
    v_taken text[];
    v_ends timestamptz;
    v_day_from timestamptz;
    v_day_until timestamptz;
    v_now timestamptz;
BEGIN
    PERFORM enter_organization(p_org);
    SELECT s.*, c.id AS calendar, c.time_zone
      INTO v_service
      FROM calendars c
      LEFT JOIN services s ON s.org_id = c.org_id AND s.id = coalesce(p_asked ->> 'service', c.service_id)
     WHERE c.org_id = p_org AND c.id = p_calendar;
    IF v_service.calendar IS NULL THEN
        error := 'Unknown calendar'; code := 'unknown_calendar';
    ELSIF p_slot IS NULL OR NOT isfinite(p_slot) OR p_slot > app_clock() + interval '100 years' THEN
        error := 'Not a time'; code := 'invalid_slot';
    ELSIF p_hold_minutes IS NULL OR p_hold_minutes NOT BETWEEN 1 AND 60 THEN
        error := 'A hold lasts 1 to 60 minutes'; code := 'invalid_hold_minutes';
    ELSIF coalesce(p_patient_phone, '') !~ '\S' OR coalesce(p_patient_name, '') !~ '\S' THEN
        error := 'A hold needs a name and a phone number'; code := 'missing_patient';
    ELSE
        v_options := coalesce(p_asked -> 'options', options_of(p_org, p_calendar, v_service.id));
        IF coalesce(jsonb_array_length(v_options), 0) = 0 THEN
            error := 'Nobody does that service'; code := 'nobody_does_it';
        END IF;
    END IF;
    IF code IS NOT NULL THEN
        success := false;
        RETURN NEXT; RETURN;
    END IF;

    v_ends := p_slot + make_interval(mins => v_service.minutes);
    v_day_from := date_trunc('day', p_slot AT TIME ZONE v_service.time_zone) AT TIME ZONE v_service.time_zone;
    v_day_until := (date_trunc('day', p_slot AT TIME ZONE v_service.time_zone) + interval '1 day')
                   AT TIME ZONE v_service.time_zone;
    PERFORM lock_resources(p_org, resources_of(v_options));
    -- Not before the resources: a call that gives up another hold for this one has their locks already.
    IF v_service.most_per_day IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(service_lock_key(p_org, v_service.id));
    END IF;
    v_now := app_clock();
    IF p_slot <= v_now THEN
        success := false; error := 'That time has passed'; code := 'slot_in_the_past';
        RETURN NEXT; RETURN;
    END IF;
    IF v_service.most_per_day IS NOT NULL THEN
        IF count_of_service(p_org, v_service.id, v_day_from, v_day_until, v_now) >= v_service.most_per_day THEN
            success := false; error := 'No more of that service on that day'; code := 'day_is_full';
            RETURN NEXT; RETURN;
        END IF;
    END IF;

    SELECT t.chosen, t.error, t.held_by_call, t.expires_at INTO v_taken, error, held_by_call, expires_at
      FROM choose_resources(
        p_org, v_options, p_slot - make_interval(mins => v_service.minutes_before),
        v_ends + make_interval(mins => v_service.minutes_after), v_day_from, v_day_until, v_now
      ) t;
    IF error IS NOT NULL THEN
        success := false; code := 'slot_taken';
        RETURN NEXT; RETURN;
    END IF;
    resource_id := v_taken[1];

    IF p_asked ? 'most' THEN
        -- How many starts that day offers is said for each who leads.
        code := make_room_for_hold(
            p_org, resource_id,
            CASE jsonb_typeof(p_asked -> 'offered')
                 WHEN 'object' THEN p_asked || jsonb_build_object('offered', p_asked -> 'offered' -> resource_id)
                 ELSE p_asked END
        );
        IF code IS NOT NULL THEN
            success := false; error := 'Too many reservations'; resource_id := NULL;
            RETURN NEXT; RETURN;
        END IF;
    END IF;

    SELECT c.id INTO contact_id FROM contacts c WHERE c.org_id = p_org AND c.phone = p_patient_phone;
    IF contact_id IS NULL THEN
        INSERT INTO contacts (org_id, phone, name, booking_source)
        VALUES (p_org, p_patient_phone, p_patient_name, 'phone_ai')
        ON CONFLICT (org_id, phone) DO UPDATE SET phone = excluded.phone
        RETURNING id INTO contact_id;
    END IF;

    expires_at := v_now + make_interval(mins => p_hold_minutes);
    INSERT INTO appointment_holds (
        org_id, calendar_id, service_id, resource_id, other_resources, starts_at, ends_at, minutes_before,
        minutes_after, call_sid, contact_id, patient_name, patient_phone, expires_at, created_at, credential_id,
        caller, number_is_callers
    ) VALUES (
        p_org, p_calendar, v_service.id, resource_id, v_taken[2:], p_slot, v_ends, v_service.minutes_before,
        v_service.minutes_after, nullif(p_call_sid, ''), contact_id, p_patient_name, p_patient_phone, expires_at,
        v_now, (p_asked ->> 'credential')::uuid, p_asked ->> 'caller',
        coalesce((p_asked ->> 'own')::boolean, false)
    ) RETURNING id INTO hold_id;
    success := true;
    RETURN NEXT;
EXCEPTION
    -- Only a writer who took no lock, or a snapshot older than the lock, can get this far.
    WHEN exclusion_violation OR unique_violation OR serialization_failure THEN
        success := false; hold_id := NULL; contact_id := NULL; expires_at := NULL; resource_id := NULL;
        error := 'Slot already held'; code := 'slot_taken';
        RETURN NEXT;
END $$;

-- '2026-01-25T10:00:00Z'::timestamp loses its Z, and would then be converted in the zone of the
-- client's session. This signature reads it as the UTC that was meant.
CREATE FUNCTION claim_slot_atomic(
    p_org uuid,
    p_calendar text,
    p_slot timestamp,
    p_call_sid text,
    p_patient_name text,
    p_patient_phone text,
    p_hold_minutes integer
)
RETURNS TABLE (
    success boolean,
    hold_id uuid,
    error text,
    code text,
    expires_at timestamptz,
    held_by_call text,
    contact_id uuid,
    resource_id text
)
LANGUAGE sql AS $$
    SELECT * FROM claim_slot_atomic(
        p_org, p_calendar, p_slot AT TIME ZONE 'UTC', p_call_sid, p_patient_name, p_patient_phone, p_hold_minutes
    )
$$;

-- A clinic's service that may be booked so many times a day.
CREATE FUNCTION service_lock_key(p_org uuid, p_service text) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT hashtextextended('service/' || p_org::text || '/' || p_service, 0) $$;

-- How many appointments and live holds of a service begin in a span of time. p_but is an appointment that moves.
CREATE FUNCTION count_of_service(
    p_org uuid, p_service text, p_from timestamptz, p_until timestamptz, p_now timestamptz, p_but uuid DEFAULT NULL
) RETURNS bigint
LANGUAGE sql STABLE
AS $$
    SELECT (SELECT count(*) FROM appointments a
             WHERE a.org_id = p_org AND a.scheduled_at >= p_from AND a.scheduled_at < p_until
               AND a.service_id = p_service AND a.status <> 'cancelled' AND a.id IS DISTINCT FROM p_but)
         + (SELECT count(*) FROM appointment_holds h
             WHERE h.org_id = p_org AND hold_is_live(h.status, h.expires_at, p_now) AND h.service_id = p_service
               AND h.starts_at >= p_from AND h.starts_at < p_until)
$$;
