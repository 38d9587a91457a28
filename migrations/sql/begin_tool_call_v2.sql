-- The beginning of a tool call within a telephone call, in one trip: waits until the call's other tool
-- calls are done, then tells what was answered if this one was made before, and whether the call holds
-- a slot. The lock is the first that a transaction takes, and is kept until its end.
CREATE OR REPLACE FUNCTION begin_tool_call(
    p_org uuid,
    p_call text,
    p_tool_call text,
    p_tool text,
    p_arguments_digest text
)
RETURNS TABLE (reply json, final boolean, holds_a_slot boolean)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
-- Both look-ups are by key. A planner that takes one call for many would read the whole table.
SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
    PERFORM enter_organization(p_org);
    PERFORM pg_advisory_xact_lock(call_lock_key(p_org, p_call));
    -- A statement of its own: it must see what the holder of the lock has committed.
    SELECT t.reply, t.final INTO reply, final FROM tool_calls t
     WHERE t.org_id = p_org AND t.call_id = p_call AND t.tool_call_id = p_tool_call
       AND t.tool = p_tool AND t.arguments_digest = p_arguments_digest;
    -- Not EXISTS: for the sake of a quick first row the planner would leave the index of the call.
    SELECT coalesce(bool_or(h.status = 'held'), false) INTO holds_a_slot
      FROM appointment_holds h WHERE h.org_id = p_org AND h.call_sid = p_call;
    RETURN NEXT;
END $$;
