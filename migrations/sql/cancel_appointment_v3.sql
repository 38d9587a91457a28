-- Cancels a confirmed appointment that is still to come, gives its time back, and leaves an SMS that says so.
--
-- p_message is the confirmation whose link was used: one that is not the newest says something that is no
-- longer so, and decides nothing. Without a link it is left out. message_id is the SMS about the cancellation,
-- which is owed also where the confirmation never went out: the patient was told "booked" on the telephone.
CREATE OR REPLACE FUNCTION cancel_appointment(p_appointment uuid, p_org uuid, p_message uuid DEFAULT NULL)
RETURNS TABLE (success boolean, error text, code text, message_id uuid)
LANGUAGE plpgsql
-- One plan for every call: planning anew each time cost a third of the function.
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_appointment appointments;
    v_now timestamptz;
BEGIN
    PERFORM enter_organization(p_org);
    success := false;
    SELECT * INTO v_appointment FROM appointments a WHERE a.id = p_appointment AND a.org_id = p_org;
    IF v_appointment.id IS NULL THEN
        error := 'Unknown appointment'; code := 'unknown_appointment';
        RETURN NEXT; RETURN;
    END IF;
    PERFORM lock_resources(p_org, all_resources(v_appointment.resource_id, v_appointment.other_resources));
    v_appointment := lock_appointment(p_appointment, p_org);
    v_now := app_clock();
    SELECT r.error, r.code INTO error, code FROM why_appointment_stays(v_appointment, p_message, v_now) r;
    IF code IS NOT NULL THEN
        RETURN NEXT; RETURN;
    END IF;

    UPDATE appointments a SET status = 'cancelled' WHERE a.id = p_appointment;
    PERFORM end_confirmation(v_appointment.confirmation_message_id, 'cancelled', v_now);
    message_id := gen_random_uuid();
    -- Worth sending until the appointment would have begun. It belongs to no telephone call.
    INSERT INTO sms_messages (id, org_id, kind, to_phone, appointment_id, next_attempt_at, expires_at, created_at)
    VALUES (
        message_id, p_org, 'cancellation', v_appointment.patient_phone, p_appointment, v_now,
        v_appointment.scheduled_at, v_now
    );
    success := true;
    RETURN NEXT;
END $$;
