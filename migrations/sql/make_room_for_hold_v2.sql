-- The live holds for which no code was asked, of a credential or of a resource and a span of time. `asker` is
-- the caller's number (a digest), or the credential where there is none.
CREATE OR REPLACE FUNCTION live_unproved_holds(
    p_org uuid,
    p_credential uuid,
    p_resource text,
    p_from timestamptz,
    p_until timestamptz,
    p_now timestamptz
)
RETURNS TABLE (id uuid, asker text, own boolean, since timestamptz)
LANGUAGE sql STABLE
AS $$
    SELECT h.id, coalesce(h.caller, h.credential_id::text, ''), h.number_is_callers, h.created_at
      FROM appointment_holds h
     WHERE h.org_id = p_org AND hold_is_live(h.status, h.expires_at, p_now) AND h.code_digest IS NULL
       AND CASE WHEN p_resource IS NULL THEN h.credential_id IS NOT DISTINCT FROM p_credential
                ELSE h.resource_id = p_resource AND h.starts_at >= p_from AND h.starts_at < p_until END
$$;

-- Sees to it that a new hold exceeds no limit on holds that nobody has proved: displaces others where some have
-- to give way, or returns the code of the refusal, and has changed nothing then.
--
-- p_asked, of models/booking/unproved_holds.py: credential, caller, own; most and most_of_caller; from, until,
-- offered and percent of the day. hold_that_gives_way is in make_room_for_hold_v1.sql. The lock is the last one
-- that a claim takes, so that a transaction which has it waits for no other.
CREATE OR REPLACE FUNCTION make_room_for_hold(p_org uuid, p_resource text, p_asked jsonb) RETURNS text
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_credential uuid := (p_asked ->> 'credential')::uuid;
    v_caller text := p_asked ->> 'caller';
    v_own boolean := (p_asked ->> 'own')::boolean;
    v_most integer := (p_asked ->> 'most')::integer;
    v_from timestamptz := (p_asked ->> 'from')::timestamptz;
    v_until timestamptz := (p_asked ->> 'until')::timestamptz;
    v_percent integer := (p_asked ->> 'percent')::integer;
    v_asker text := coalesce(v_caller, v_credential::text, '');
    v_now timestamptz;
    v_free integer;
    v_of record;
    v_day_said boolean;
    v_of_day uuid;
    v_of_credential uuid;
BEGIN
    PERFORM pg_advisory_xact_lock(unproved_holds_lock_key(p_org));
    -- Statements of their own: they must see what the holder of the lock has committed.
    v_now := app_clock();
    SELECT count(*) FILTER (WHERE h.caller = v_caller AND NOT own) AS by_caller,
           count(*) FILTER (WHERE mine AND unproved AND NOT own) AS said,
           count(*) FILTER (WHERE mine AND unproved) AS unproved,
           count(*) FILTER (WHERE today AND NOT own) AS said_of_day,
           count(*) FILTER (WHERE today AND (unproved OR NOT own)) AS doubtful_of_day
      INTO v_of
      FROM appointment_holds h,
           LATERAL (
             SELECT h.number_is_callers AS own, h.code_digest IS NULL AS unproved,
                    h.credential_id IS NOT DISTINCT FROM v_credential AS mine,
                    h.resource_id = p_resource AND h.starts_at >= v_from AND h.starts_at < v_until AS today
           ) x
     WHERE h.org_id = p_org AND hold_is_live(h.status, h.expires_at, v_now);
    IF NOT v_own AND v_of.by_caller >= (p_asked ->> 'most_of_caller')::integer THEN
        RETURN 'too_many_holds';
    END IF;

    SELECT greatest((p_asked ->> 'offered')::integer - count(*), 1) INTO v_free
      FROM occupancies o
     WHERE o.org_id = p_org AND o.resource_id = p_resource AND o.seat = 0
       AND o.starts_at >= greatest(v_from, v_now) AND o.starts_at < v_until AND o.appointment_id IS NOT NULL;
    v_day_said := NOT v_own AND v_of.said_of_day >= ceil(v_free * v_percent / 100.0);
    IF v_day_said OR v_of.doubtful_of_day >= ceil(v_free * (100 + v_percent) / 200.0) THEN
        v_of_day := hold_that_gives_way(
            p_org, NULL, p_resource, v_from, v_until, v_asker, v_day_said, v_now, NULL
        );
        IF v_of_day IS NULL THEN
            RETURN 'too_many_unproved_holds';
        END IF;
        SELECT v_of.said - (h.credential_id IS NOT DISTINCT FROM v_credential AND NOT h.number_is_callers)::integer,
               v_of.unproved - (h.credential_id IS NOT DISTINCT FROM v_credential)::integer
          INTO v_of.said, v_of.unproved
          FROM appointment_holds h WHERE h.id = v_of_day;
    END IF;
    IF (NOT v_own AND v_of.said >= v_most) OR v_of.unproved >= 2 * v_most THEN
        v_of_credential := hold_that_gives_way(
            p_org, v_credential, NULL, NULL, NULL, v_asker, NOT v_own AND v_of.said >= v_most, v_now, v_of_day
        );
        IF v_of_credential IS NULL THEN
            RETURN 'too_many_unproved_holds';
        END IF;
    END IF;
    IF num_nonnulls(v_of_day, v_of_credential) > 0 THEN
        UPDATE appointment_holds h SET status = 'displaced', released_at = v_now
         WHERE h.id IN (v_of_day, v_of_credential);
    END IF;
    RETURN NULL;
END $$;
