-- Whether a hold keeps its time: it is held, and has not run out. An expired hold stays 'held' until a claim
-- needs its time or the sweep comes by. An expression without a plan of its own, so that the planner sees
-- through to the indexes.
CREATE FUNCTION hold_is_live(p_status text, p_expires_at timestamptz, p_now timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT p_status = 'held' AND p_expires_at > p_now $$;
