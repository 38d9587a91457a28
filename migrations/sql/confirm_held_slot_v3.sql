-- Turns a hold whose code was read back into an appointment, together with its confirmation SMS.
--
-- p_code_digest is the keyed digest of the code that was said (models/booking/codes.py): the database never sees
-- a code. A wrong one is an answer and not an exception, because an exception would undo the count of
-- tries. The caller commits before it believes the answer.
CREATE OR REPLACE FUNCTION confirm_held_slot(
    p_hold uuid,
    p_org uuid,
    p_contact uuid,
    p_code_digest text,
    p_service_type text,
    p_max_tries integer DEFAULT 3
)
RETURNS TABLE (
    success boolean,
    appointment_id uuid,
    error text,
    code text,
    tries_left integer,
    message_id uuid
)
LANGUAGE plpgsql
-- One plan for every call: planning anew each time cost a third of the function.
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_hold appointment_holds;
    v_now timestamptz;
BEGIN
    PERFORM enter_organization(p_org);
    success := false;
    SELECT * INTO v_hold FROM appointment_holds h WHERE h.id = p_hold AND h.org_id = p_org;
    IF v_hold.id IS NULL OR v_hold.contact_id <> p_contact THEN
        error := 'Unknown hold'; code := 'unknown_hold';
        RETURN NEXT; RETURN;
    END IF;

    PERFORM lock_resources(p_org, all_resources(v_hold.resource_id, v_hold.other_resources));
    -- A claim of another person's time counts this hold or this appointment, and never neither of them: it would,
    -- if the hold ran out for the claim while this transaction has yet to commit the appointment.
    PERFORM pg_advisory_xact_lock(service_lock_key(p_org, s.id))
       FROM services s WHERE s.org_id = p_org AND s.id = v_hold.service_id AND s.most_per_day IS NOT NULL;
    SELECT * INTO v_hold FROM appointment_holds h WHERE h.id = p_hold FOR UPDATE;
    v_now := app_clock();

    -- A time that has begun is over, too, even where the hold had minutes left.
    IF v_hold.status = 'held' AND least(v_hold.expires_at, v_hold.starts_at) <= v_now THEN
        UPDATE appointment_holds SET status = 'expired', released_at = v_now WHERE id = p_hold;
        v_hold.status := 'expired';
    END IF;
    IF v_hold.status IS DISTINCT FROM 'held' THEN
        error := 'Hold already ' || coalesce(v_hold.status, 'gone');
        code := 'hold_' || coalesce(v_hold.status, 'gone');
        SELECT a.id, a.confirmation_message_id INTO appointment_id, message_id
          FROM appointments a WHERE a.hold_id = p_hold;
        RETURN NEXT; RETURN;
    END IF;
    IF v_hold.code_digest IS NULL THEN
        error := 'No code was sent for this hold'; code := 'code_not_sent';
        RETURN NEXT; RETURN;
    END IF;

    tries_left := p_max_tries - v_hold.code_tries - 1;
    IF tries_left < 0 OR v_hold.code_digest IS DISTINCT FROM p_code_digest THEN
        -- The last wrong try gives the slot back: nobody can confirm this hold any more.
        UPDATE appointment_holds
           SET code_tries = code_tries + 1,
               status = CASE WHEN tries_left > 0 THEN 'held' ELSE 'locked' END,
               released_at = CASE WHEN tries_left > 0 THEN NULL ELSE v_now END
         WHERE id = p_hold;
        IF tries_left > 0 THEN
            error := 'Wrong code'; code := 'wrong_code';
        ELSE
            tries_left := 0;
            error := 'Too many wrong codes'; code := 'hold_locked';
        END IF;
        RETURN NEXT; RETURN;
    END IF;

    appointment_id := gen_random_uuid();
    message_id := gen_random_uuid();
    INSERT INTO appointments (
        id, org_id, calendar_id, service_id, resource_id, other_resources, seat, scheduled_at, ends_at,
        minutes_before, minutes_after, contact_id, hold_id, call_sid, patient_name, patient_phone, service_type,
        booked_by, confirmation_message_id, created_at
    ) VALUES (
        appointment_id, p_org, v_hold.calendar_id, v_hold.service_id, v_hold.resource_id, v_hold.other_resources,
        v_hold.seat, v_hold.starts_at, v_hold.ends_at, v_hold.minutes_before, v_hold.minutes_after,
        v_hold.contact_id, p_hold, v_hold.call_sid, v_hold.patient_name, v_hold.patient_phone, p_service_type,
        'phone', message_id, v_now
    );
    -- Worth sending until the appointment begins.
    INSERT INTO sms_messages (
        id, org_id, kind, to_phone, appointment_id, call_sid, next_attempt_at, expires_at, created_at
    ) VALUES (
        message_id, p_org, 'confirmation', v_hold.patient_phone, appointment_id, v_hold.call_sid,
        v_now, v_hold.starts_at, v_now
    );
    UPDATE appointment_holds SET status = 'confirmed', code_tries = code_tries + 1 WHERE id = p_hold;
    success := true;
    RETURN NEXT;
END $$;
