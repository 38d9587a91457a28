-- Holds one slot for p_hold_minutes, or says why not. Exactly one of any number of callers who want
-- overlapping times of one calendar (or of a resource it shares) is told success.
--
-- p_asked says who asks, and how many times may be held before anybody has proved them (make_room_for_hold);
-- without it, as from a prompt, nothing is counted.
--
-- The lock order of the whole schema: read the calendar without a lock, then the advisory lock of its
-- resource, then rows, then the lock of the clinic's unproved holds (lock_keys_v1.sql). The exclusion
-- constraint on occupancies is the guarantee; the lock makes the refusal quick, and a deadlock impossible among
-- callers who take this path. The contact is made under that last lock, too: a caller with p_asked has the lock
-- of the number (models/booking/holds.py), so that no other transaction makes the same contact.
CREATE OR REPLACE FUNCTION claim_slot_atomic(
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
    contact_id uuid
)
LANGUAGE plpgsql
-- One plan for every call: planning anew each time cost a third of the function.
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_resource text;
    v_length interval;
    v_ends timestamptz;
    v_now timestamptz;
BEGIN
    PERFORM enter_organization(p_org);
    SELECT c.resource_id, make_interval(mins => c.slot_minutes)
      INTO v_resource, v_length
      FROM calendars c WHERE c.org_id = p_org AND c.id = p_calendar;
    IF v_resource IS NULL THEN
        error := 'Unknown calendar'; code := 'unknown_calendar';
    ELSIF p_slot IS NULL OR NOT isfinite(p_slot) OR p_slot > app_clock() + interval '100 years' THEN
        error := 'Not a time'; code := 'invalid_slot';
    ELSIF p_hold_minutes IS NULL OR p_hold_minutes NOT BETWEEN 1 AND 60 THEN
        error := 'A hold lasts 1 to 60 minutes'; code := 'invalid_hold_minutes';
    ELSIF coalesce(p_patient_phone, '') !~ '\S' OR coalesce(p_patient_name, '') !~ '\S' THEN
        error := 'A hold needs a name and a phone number'; code := 'missing_patient';
    END IF;
    IF code IS NOT NULL THEN
        success := false;
        RETURN NEXT; RETURN;
    END IF;

    v_ends := p_slot + v_length;
    PERFORM pg_advisory_xact_lock(resource_lock_key(p_org, v_resource));
    v_now := app_clock();
    IF p_slot <= v_now THEN
        success := false; error := 'That time has passed'; code := 'slot_in_the_past';
        RETURN NEXT; RETURN;
    END IF;

    SELECT t.error, t.held_by_call, t.expires_at INTO error, held_by_call, expires_at
      FROM clear_time(p_org, v_resource, 0, p_slot, v_ends, v_now) t;
    IF error IS NOT NULL THEN
        success := false; code := 'slot_taken';
        RETURN NEXT; RETURN;
    END IF;

    IF p_asked ? 'most' THEN
        code := make_room_for_hold(p_org, v_resource, p_asked);
        IF code IS NOT NULL THEN
            success := false; error := 'Too many reservations'; expires_at := NULL; held_by_call := NULL;
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
        org_id, calendar_id, resource_id, starts_at, ends_at, call_sid, contact_id,
        patient_name, patient_phone, expires_at, created_at, credential_id, caller, number_is_callers
    ) VALUES (
        p_org, p_calendar, v_resource, p_slot, v_ends, nullif(p_call_sid, ''), contact_id,
        p_patient_name, p_patient_phone, expires_at, v_now, (p_asked ->> 'credential')::uuid, p_asked ->> 'caller',
        coalesce((p_asked ->> 'own')::boolean, false)
    ) RETURNING id INTO hold_id;
    success := true;
    RETURN NEXT;
EXCEPTION
    -- Only a writer who took no lock, or a snapshot older than the lock, can get this far.
    WHEN exclusion_violation OR unique_violation THEN
        success := false; hold_id := NULL; contact_id := NULL; expires_at := NULL;
        error := 'Slot already held'; code := 'slot_taken';
        RETURN NEXT;
END $$;
