-- Gives a held slot back. success = false when there was nothing to give back.
CREATE OR REPLACE FUNCTION release_hold(p_hold uuid, p_org uuid)
RETURNS TABLE (success boolean, error text, code text)
LANGUAGE plpgsql
-- One plan for every call: planning anew each time cost a third of the function.
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_hold appointment_holds;
BEGIN
    PERFORM enter_organization(p_org);
    success := false;
    SELECT * INTO v_hold FROM appointment_holds h WHERE h.id = p_hold AND h.org_id = p_org;
    IF v_hold.id IS NULL THEN
        error := 'Unknown hold'; code := 'unknown_hold';
        RETURN NEXT; RETURN;
    END IF;
    PERFORM lock_resources(p_org, all_resources(v_hold.resource_id, v_hold.other_resources));
    UPDATE appointment_holds h SET status = 'released', released_at = app_clock()
     WHERE h.id = p_hold AND h.status = 'held';
    IF FOUND THEN
        success := true;
    ELSE
        SELECT h.status INTO v_hold.status FROM appointment_holds h WHERE h.id = p_hold;
        error := 'Hold already ' || v_hold.status; code := 'hold_' || v_hold.status;
    END IF;
    RETURN NEXT;
END $$;
