-- Cancels a confirmed appointment that is still to come, and gives its time back.
--
-- p_message is the confirmation whose link was used: one that is not the newest says something that is no
-- longer so, and decides nothing. Whoever comes without a link leaves it out.
CREATE OR REPLACE FUNCTION cancel_appointment(p_appointment uuid, p_org uuid, p_message uuid DEFAULT NULL)
RETURNS TABLE (success boolean, error text, code text)
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
    PERFORM pg_advisory_xact_lock(resource_lock_key(p_org, v_appointment.resource_id));
    v_appointment := lock_appointment(p_appointment, p_org);
    v_now := app_clock();
    SELECT r.error, r.code INTO error, code FROM why_appointment_stays(v_appointment, p_message, v_now) r;
    IF code IS NOT NULL THEN
        RETURN NEXT; RETURN;
    END IF;

    UPDATE appointments a SET status = 'cancelled' WHERE a.id = p_appointment;
    PERFORM end_confirmation(v_appointment.confirmation_message_id, 'cancelled', v_now);
    success := true;
    RETURN NEXT;
END $$;
