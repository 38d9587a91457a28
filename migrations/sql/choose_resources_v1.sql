-- Chooses who and what takes a time, among options (options_of in occupancies_v2.sql, or those that
-- models/booking/availability.py found open then), and says what is in the way if no option has all it needs free.
--
-- The first resource of an option leads. Of the options that are free the one is taken whose leader p_first names,
-- else the one whose leader has the fewest appointments and live holds that begin on that local day, and of equals
-- the first by id. Within an option each need takes the first id of its list that is free. The transaction has the
-- locks of all candidates already (lock_resources), and p_now was read after it. p_but as in clear_time.
CREATE FUNCTION choose_resources(
    p_org uuid,
    p_options jsonb,
    p_from timestamptz,
    p_until timestamptz,
    p_day_from timestamptz,
    p_day_until timestamptz,
    p_now timestamptz,
    p_but uuid DEFAULT NULL,
    p_first text DEFAULT NULL,
    OUT chosen text[],
    OUT error text,
    OUT held_by_call text,
    OUT expires_at timestamptz
)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_wanted text[] := resources_of(p_options);
    v_resource text;
    v_in_the_way record;
    v_free text[] := '{}';
    v_why jsonb := '{}';
    v_option jsonb;
    v_need jsonb;
    v_found text;
BEGIN
    FOREACH v_resource IN ARRAY v_wanted LOOP
        SELECT t.error, t.held_by_call, t.expires_at INTO v_in_the_way
          FROM clear_time(p_org, v_resource, 0, p_from, p_until, p_now, p_but) t;
        IF v_in_the_way.error IS NULL THEN
            v_free := v_free || v_resource;
        ELSE
            v_why := v_why || jsonb_build_object(v_resource, to_jsonb(v_in_the_way));
        END IF;
    END LOOP;
    IF cardinality(v_wanted) = 1 AND v_free = v_wanted THEN  -- most claims want one, and it is free
        chosen := v_wanted;
        RETURN;
    END IF;

    FOR v_option IN
        SELECT o.needs
          FROM jsonb_array_elements(p_options) o(needs)
         ORDER BY (o.needs -> 0 ->> 0 = p_first) IS NOT TRUE,
                  CASE WHEN jsonb_array_length(p_options) > 1 THEN (
                    -- An occupancy begins with its buffer, which lasts four hours at most (services).
                    SELECT count(*)
                      FROM occupancies c
                      LEFT JOIN appointment_holds h ON h.id = c.hold_id
                      LEFT JOIN appointments a ON a.id = c.appointment_id
                     WHERE c.org_id = p_org AND c.resource_id = o.needs -> 0 ->> 0 AND c.seat = 0
                       AND c.starts_at >= p_day_from - interval '4 hours' AND c.starts_at < p_day_until
                       AND coalesce(h.starts_at, a.scheduled_at) >= p_day_from
                       AND coalesce(h.starts_at, a.scheduled_at) < p_day_until
                       AND (h.id IS NULL OR hold_is_live(h.status, h.expires_at, p_now))
                       AND (c.appointment_id = p_but) IS NOT TRUE
                  ) END,
                  (o.needs -> 0 ->> 0) COLLATE "C"
    LOOP
        chosen := '{}';
        FOR v_need IN SELECT n.ids FROM jsonb_array_elements(v_option) WITH ORDINALITY n(ids, place) ORDER BY n.place
        LOOP
            SELECT c.id INTO v_found
              FROM jsonb_array_elements_text(v_need) WITH ORDINALITY c(id, place)
             WHERE c.id = ANY (v_free) AND c.id <> ALL (chosen)
             ORDER BY c.place LIMIT 1;
            IF NOT FOUND THEN
                chosen := NULL;
                -- A hold is said rather than what lasts: the caller may wait for its end.
                IF error IS NULL OR held_by_call IS NULL THEN
                    SELECT w.error, w.held_by_call, w.expires_at INTO error, held_by_call, expires_at
                      FROM jsonb_array_elements_text(v_need) WITH ORDINALITY c(id, place),
                           jsonb_to_record(v_why -> c.id) w(error text, held_by_call text, expires_at timestamptz)
                     ORDER BY w.held_by_call IS NULL, c.place LIMIT 1;
                END IF;
                EXIT;
            END IF;
            chosen := chosen || v_found;
        END LOOP;
        IF chosen IS NOT NULL THEN
            error := NULL; held_by_call := NULL; expires_at := NULL;
            RETURN;
        END IF;
    END LOOP;
    error := coalesce(error, 'Slot already booked');
END $$;

-- Every id in options, each once, sorted.
CREATE FUNCTION resources_of(p_options jsonb) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    IF p_options #> '{0,0,0}' IS NOT NULL
       AND num_nonnulls(p_options -> 1, p_options #> '{0,1}', p_options #> '{0,0,1}') = 0 THEN
        RETURN ARRAY[p_options #>> '{0,0,0}'];
    END IF;
    RETURN (
        SELECT coalesce(array_agg(DISTINCT c.id COLLATE "C" ORDER BY c.id COLLATE "C"), '{}')
          FROM jsonb_array_elements(p_options) o(needs),
               jsonb_array_elements(o.needs) n(ids),
               jsonb_array_elements_text(n.ids) c(id)
    );
END $$;
