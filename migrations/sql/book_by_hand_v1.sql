-- Books a time that somebody at the desk names: the appointment and its confirmation in one transaction, without a
-- hold and without a code. Under the same locks and the same constraint as a claim.
--
-- p_options as in choose_resources: who and what is wanted. Hours, notice and the limit of a day are the desk's to
-- judge and are not asked here. With p_overrule, a reason, nothing needs to be free: the appointment takes the first
-- seat that is, beside whoever sits on the first one. p_booker is the person who answers for it. p_id is the
-- appointment's: a form that is sent twice books once, and is told the same both times.
CREATE FUNCTION book_by_hand(
    p_org uuid,
    p_calendar text,
    p_service text,
    p_slot timestamptz,
    p_options jsonb,
    p_patient_name text,
    p_patient_phone text,
    p_booker text,
    p_overrule text DEFAULT NULL,
    p_id uuid DEFAULT NULL
)
RETURNS TABLE (
    success boolean,
    appointment_id uuid,
    error text,
    code text,
    message_id uuid,
    resource_id text
)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_service record;
    v_taken text[];
    v_contact uuid;
    v_seat integer := 0;
    v_ends timestamptz;
    v_now timestamptz;
    v_from timestamptz;
    v_until timestamptz;
BEGIN
    PERFORM enter_organization(p_org);
    success := false;
    SELECT s.*, c.id AS calendar, c.time_zone
      INTO v_service
      FROM calendars c
      LEFT JOIN services s ON s.org_id = c.org_id AND s.id = p_service
     WHERE c.org_id = p_org AND c.id = p_calendar;
    IF v_service.calendar IS NULL THEN
        error := 'Unknown calendar'; code := 'unknown_calendar';
    ELSIF v_service.id IS NULL THEN
        error := 'Unknown service'; code := 'unknown_service';
    ELSIF p_slot IS NULL OR NOT isfinite(p_slot) OR p_slot > app_clock() + interval '100 years' THEN
        error := 'Not a time'; code := 'invalid_slot';
    ELSIF coalesce(p_patient_phone, '') !~ '\S' OR coalesce(p_patient_name, '') !~ '\S' THEN
        error := 'A booking needs a name and a phone number'; code := 'missing_patient';
    ELSIF coalesce(p_booker, '') !~ '\S' OR p_overrule !~ '\S' THEN
        error := 'A booking by hand needs a name, and an overrule a reason'; code := 'missing_reason';
    ELSIF coalesce(jsonb_array_length(p_options), 0) = 0 THEN
        error := 'Nobody does that service'; code := 'nobody_does_it';
    END IF;
    IF code IS NOT NULL THEN
        RETURN NEXT; RETURN;
    END IF;

    v_ends := p_slot + make_interval(mins => v_service.minutes);
    v_from := p_slot - make_interval(mins => v_service.minutes_before);
    v_until := v_ends + make_interval(mins => v_service.minutes_after);
    PERFORM lock_resources(p_org, resources_of(p_options));
    SELECT a.id, a.confirmation_message_id, a.resource_id INTO appointment_id, message_id, resource_id
      FROM appointments a WHERE a.org_id = p_org AND a.id = p_id;
    IF FOUND THEN
        success := true;
        RETURN NEXT; RETURN;
    END IF;
    v_now := app_clock();
    IF v_ends <= v_now THEN
        error := 'That time has passed'; code := 'slot_in_the_past';
        RETURN NEXT; RETURN;
    END IF;
    SELECT t.chosen, t.error INTO v_taken, error
      FROM choose_resources(
        p_org, p_options, v_from, v_until,
        date_trunc('day', p_slot AT TIME ZONE v_service.time_zone) AT TIME ZONE v_service.time_zone,
        (date_trunc('day', p_slot AT TIME ZONE v_service.time_zone) + interval '1 day')
          AT TIME ZONE v_service.time_zone, v_now
      ) t;
    IF error IS NOT NULL AND p_overrule IS NULL THEN
        code := 'slot_taken';
        RETURN NEXT; RETURN;
    ELSIF error IS NOT NULL THEN
        error := NULL;
        -- Of each kind the first that is free, else the first: no room is doubled while another one is free.
        SELECT array_agg(b.id ORDER BY n.place) INTO v_taken
          FROM jsonb_array_elements(p_options -> 0) WITH ORDINALITY n(ids, place),
               LATERAL (
                SELECT i.id
                  FROM jsonb_array_elements_text(n.ids) WITH ORDINALITY i(id, place)
                 ORDER BY EXISTS (
                    SELECT FROM occupancies o
                     WHERE o.org_id = p_org AND o.resource_id = i.id AND o.starts_at > v_from - interval '24 hours'
                       AND o.starts_at < v_until AND o.ends_at > v_from
                 ), i.place
                 LIMIT 1
               ) b;
        SELECT min(s.seat) INTO v_seat
          FROM generate_series(1, 100) s(seat)
         WHERE NOT EXISTS (
            SELECT FROM occupancies o
             WHERE o.org_id = p_org AND o.resource_id = ANY (v_taken) AND o.seat = s.seat
               AND o.starts_at > v_from - interval '24 hours' AND o.starts_at < v_until AND o.ends_at > v_from
         );
    END IF;

    INSERT INTO contacts AS c (org_id, phone, name, booking_source)
    VALUES (p_org, p_patient_phone, p_patient_name, 'desk')
    ON CONFLICT (org_id, phone) DO UPDATE SET phone = excluded.phone
    RETURNING c.id INTO v_contact;
    appointment_id := coalesce(p_id, gen_random_uuid());
    message_id := gen_random_uuid();
    INSERT INTO appointments (
        id, org_id, calendar_id, service_id, resource_id, other_resources, seat, scheduled_at, ends_at,
        minutes_before, minutes_after, contact_id, patient_name, patient_phone, service_type, booked_by, booker,
        overruled, confirmation_message_id, created_at
    ) VALUES (
        appointment_id, p_org, p_calendar, v_service.id, v_taken[1], v_taken[2:], v_seat, p_slot, v_ends,
        v_service.minutes_before, v_service.minutes_after, v_contact, p_patient_name, p_patient_phone,
        v_service.name, 'desk', p_booker, CASE WHEN v_seat > 0 THEN p_overrule END, message_id, v_now
    );
    -- Worth sending until the appointment begins. It belongs to no telephone call.
    INSERT INTO sms_messages (id, org_id, kind, to_phone, appointment_id, next_attempt_at, expires_at, created_at)
    VALUES (
        message_id, p_org, 'confirmation', p_patient_phone, appointment_id, v_now, greatest(p_slot, v_now), v_now
    );
    success := true;
    resource_id := v_taken[1];
    RETURN NEXT;
EXCEPTION
    -- Only a writer who took no lock, or a snapshot older than the lock, can get this far.
    WHEN exclusion_violation OR unique_violation OR serialization_failure THEN
        success := false; appointment_id := NULL; message_id := NULL; resource_id := NULL;
        error := 'Slot already booked'; code := 'slot_taken';
        RETURN NEXT;
END $$;
