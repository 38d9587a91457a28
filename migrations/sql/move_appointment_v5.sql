-- Moves a confirmed appointment that is still to come to another start: the old time is given back and the new
-- one taken in one transaction, and a new confirmation takes the place of the old one.
--
-- p_message as in cancel_appointment. An appointment keeps its length and its buffers. p_options as for a claim
-- (choose_resources): whoever it is with comes first among them. Without them it stays with the same person, room
-- and device. One that was put beside another sits alone again where it goes. Whether such a start is offered at
-- all is judged before (models/booking/appointments.py). With p_most_moves_a_day the same actor moves it no more
-- often than that in 24 hours; without it there is no limit. Moves of one appointment wait for each other, so the
-- count is true.
CREATE OR REPLACE FUNCTION move_appointment(
    p_appointment uuid,
    p_org uuid,
    p_slot timestamptz,
    p_message uuid DEFAULT NULL,
    p_most_moves_a_day integer DEFAULT NULL,
    p_options jsonb DEFAULT NULL
)
RETURNS TABLE (success boolean, error text, code text, message_id uuid)
LANGUAGE plpgsql
-- One plan for every call: planning anew each time cost a third of the function.
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_appointment appointments;
    v_own text[];
    v_options jsonb;
    v_taken text[];
    v_service record;
    v_ends timestamptz;
    v_now timestamptz;
BEGIN
    PERFORM enter_organization(p_org);
    success := false;
    SELECT * INTO v_appointment FROM appointments a WHERE a.id = p_appointment AND a.org_id = p_org;
    IF v_appointment.id IS NULL THEN
        error := 'Unknown appointment'; code := 'unknown_appointment';
    ELSIF p_slot IS NULL OR NOT isfinite(p_slot) OR p_slot > app_clock() + interval '100 years' THEN
        error := 'Not a time'; code := 'invalid_slot';
    END IF;
    IF code IS NOT NULL THEN
        RETURN NEXT; RETURN;
    END IF;
    SELECT s.id, s.most_per_day,
           date_trunc('day', p_slot AT TIME ZONE c.time_zone) AT TIME ZONE c.time_zone AS day_from,
           (date_trunc('day', p_slot AT TIME ZONE c.time_zone) + interval '1 day') AT TIME ZONE c.time_zone AS day_until
      INTO v_service
      FROM calendars c
      LEFT JOIN services s ON s.org_id = c.org_id AND s.id = v_appointment.service_id
     WHERE c.org_id = p_org AND c.id = v_appointment.calendar_id;
    v_own := all_resources(v_appointment.resource_id, v_appointment.other_resources);
    v_options := coalesce(
        p_options, jsonb_build_array((SELECT jsonb_agg(jsonb_build_array(r.id)) FROM unnest(v_own) r(id)))
    );
    PERFORM lock_resources(p_org, v_own || resources_of(v_options));
    IF v_service.most_per_day IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(service_lock_key(p_org, v_service.id));
    END IF;
    v_appointment := lock_appointment(p_appointment, p_org);
    v_now := app_clock();
    SELECT r.error, r.code INTO error, code FROM why_appointment_stays(v_appointment, p_message, v_now) r;
    IF code IS NOT NULL THEN
        RETURN NEXT; RETURN;
    ELSIF p_slot <= v_now THEN
        error := 'That time has passed'; code := 'slot_in_the_past';
    ELSIF p_slot = v_appointment.scheduled_at AND resources_of(v_options) @> ARRAY[v_appointment.resource_id] THEN
        error := 'It is at that time already'; code := 'same_time';
    ELSIF p_most_moves_a_day <= (
        SELECT count(*) FROM appointment_changes c
         WHERE c.appointment_id = p_appointment AND c.org_id = p_org AND c.change = 'moved'
           AND c.created_at > v_now - interval '24 hours'
           AND c.actor = coalesce(nullif(current_setting('app.actor', true), ''), 'sql ' || session_user)
    ) THEN
        error := 'Moved too often'; code := 'too_many_moves';
    END IF;
    -- The desk, which has no link and names whom it wants, judges the limit of a day for itself.
    IF code IS NULL AND v_service.most_per_day IS NOT NULL AND (p_options IS NULL OR p_message IS NOT NULL) THEN
        IF v_service.most_per_day <= count_of_service(
            p_org, v_service.id, v_service.day_from, v_service.day_until, v_now, p_appointment
        ) THEN
            error := 'No more of that service on that day'; code := 'day_is_full';
        END IF;
    END IF;
    IF code IS NOT NULL THEN
        RETURN NEXT; RETURN;
    END IF;

    v_ends := p_slot + (v_appointment.ends_at - v_appointment.scheduled_at);
    SELECT t.chosen, t.error INTO v_taken, error
      FROM choose_resources(
        p_org, v_options, p_slot - make_interval(mins => v_appointment.minutes_before),
        v_ends + make_interval(mins => v_appointment.minutes_after), v_service.day_from, v_service.day_until,
        v_now, p_appointment, v_appointment.resource_id
      ) t;
    IF error IS NOT NULL THEN
        code := 'slot_taken';
        RETURN NEXT; RETURN;
    END IF;

    message_id := gen_random_uuid();
    -- Worth sending until the appointment begins. It belongs to no telephone call.
    INSERT INTO sms_messages (id, org_id, kind, to_phone, appointment_id, next_attempt_at, expires_at, created_at)
    VALUES (
        message_id, p_org, 'confirmation', v_appointment.patient_phone, p_appointment, v_now, p_slot, v_now
    );
    UPDATE appointments a
       SET scheduled_at = p_slot, ends_at = v_ends, resource_id = v_taken[1], other_resources = v_taken[2:],
           seat = 0, overruled = NULL, confirmation_message_id = message_id
     WHERE a.id = p_appointment;
    PERFORM end_confirmation(v_appointment.confirmation_message_id, 'moved', v_now);
    success := true;
    RETURN NEXT;
EXCEPTION
    -- Only a writer who took no lock, or a snapshot older than the lock, can get this far.
    WHEN exclusion_violation OR unique_violation OR serialization_failure THEN
        success := false; message_id := NULL;
        error := 'Slot already held'; code := 'slot_taken';
        RETURN NEXT;
END $$;
