-- Takes from several allowances at once, or from none of them. An allowance is so much at once and is filled
-- again steadily (a leaky bucket, kept as the moment at which it is full again). Two transactions that take
-- from the same one wait for each other, so that many at once get no more than one after another.
--
-- p_kinds, p_whose, p_steps, p_longest and p_amounts have one element an allowance: what is limited, whose it
-- is (a keyed digest, never a number or a name), the time in which one unit is filled again, the time in which
-- an empty one is full, and how many units are wanted.
--
-- The answer is the place (from 1) of the first allowance that has not so much left, and the time until it
-- has; both null where all was taken. Allowances are locked after all other rows of a transaction.
CREATE OR REPLACE FUNCTION take_allowances(
    p_org uuid,
    p_kinds text[],
    p_whose text[],
    p_steps interval[],
    p_longest interval[],
    p_amounts double precision[],
    OUT short integer,
    OUT wait interval
)
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    v_now timestamptz;
    v_full timestamptz[];
BEGIN
    PERFORM enter_organization(p_org);
    -- Sorted, so that no two wait for each other in a ring.
    INSERT INTO allowances AS a (org_id, kind, whose, full_again_at)
    SELECT p_org, w.kind, w.whose, '-infinity'
      FROM unnest(p_kinds, p_whose) AS w (kind, whose) GROUP BY w.kind, w.whose ORDER BY w.kind, w.whose
    ON CONFLICT (org_id, kind, whose) DO UPDATE SET kind = excluded.kind;
    v_now := app_clock();
    SELECT array_agg(greatest(a.full_again_at, v_now) + w.step * w.amount ORDER BY w.place)
      INTO v_full
      FROM unnest(p_kinds, p_whose, p_steps, p_amounts) WITH ORDINALITY AS w (kind, whose, step, amount, place)
      JOIN allowances a ON a.org_id = p_org AND a.kind = w.kind AND a.whose = w.whose;
    SELECT w.place, w.moment - v_now - w.longest INTO short, wait
      FROM unnest(v_full, p_longest) WITH ORDINALITY AS w (moment, longest, place)
     -- A microsecond for each rounding of a step is not a unit.
     WHERE w.moment - v_now - w.longest > interval '1 millisecond' ORDER BY w.place LIMIT 1;
    IF short IS NULL THEN
        UPDATE allowances a SET full_again_at = w.moment
          FROM unnest(p_kinds, p_whose, v_full) AS w (kind, whose, moment)
         WHERE a.org_id = p_org AND a.kind = w.kind AND a.whose = w.whose;
    END IF;
END $$;
