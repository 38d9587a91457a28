-- Clears a time of a resource of expired holds, and says what is in the way of a booking there all the same.
-- Without an error the time is free. held_by_call and expires_at are those of a hold in the way.
--
-- The transaction has the lock of the resource already (resource_lock_key), and p_now was read after it.
-- p_but is an appointment that is in nobody's way: the one that moves, perhaps by less than its own length.
--
-- An appointment that the desk put beside another is in the way from whatever seat it sits on: it keeps its time
-- when the one on the first seat has gone.
CREATE OR REPLACE FUNCTION clear_time(
    p_org uuid,
    p_resource text,
    p_seat integer,
    p_from timestamptz,
    p_until timestamptz,
    p_now timestamptz,
    p_but uuid DEFAULT NULL,
    OUT error text,
    OUT held_by_call text,
    OUT expires_at timestamptz
)
LANGUAGE plpgsql
-- One plan for every call: planning anew each time cost a third of a claim.
SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    v_hold uuid;
    v_block uuid;
    v_free_from timestamptz;
    v_status text;
BEGIN
    -- Occupancies of one resource never overlap, so of all that begin before p_until the last one ends last:
    -- one look at the end of the primary key, which row security leaves to the planner, too.
    LOOP
        SELECT o.hold_id, o.block_id, o.ends_at INTO v_hold, v_block, v_free_from
          FROM occupancies o
         WHERE o.org_id = p_org AND o.resource_id = p_resource AND o.seat = p_seat AND o.starts_at < p_until
           AND (o.appointment_id = p_but) IS NOT TRUE
         ORDER BY o.starts_at DESC LIMIT 1;
        IF NOT FOUND OR v_free_from <= p_from THEN
            EXIT;
        END IF;
        IF v_block IS NOT NULL THEN
            error := 'Time is blocked';
            RETURN;
        END IF;
        -- An expired hold makes way, and there may be another behind it, or a block that waited for it. Anything
        -- else stays.
        UPDATE appointment_holds h SET status = 'expired', released_at = p_now
         WHERE h.id = v_hold AND h.status = 'held' AND NOT hold_is_live(h.status, h.expires_at, p_now);
        CONTINUE WHEN FOUND;
        SELECT h.call_sid, h.expires_at, h.status INTO held_by_call, expires_at, v_status
          FROM appointment_holds h WHERE h.id = v_hold;
        -- The hold was given back while this transaction waited for its row: look again.
        IF v_status <> 'held' THEN
            held_by_call := NULL; expires_at := NULL;
            CONTINUE;
        END IF;
        error := CASE WHEN v_hold IS NULL THEN 'Slot already booked' ELSE 'Slot already held' END;
        RETURN;
    END LOOP;

    IF EXISTS (
        SELECT FROM occupancies o
         WHERE o.org_id = p_org AND o.resource_id = p_resource AND o.seat > p_seat
           AND o.starts_at > p_from - interval '24 hours' AND o.starts_at < p_until AND o.ends_at > p_from
           AND (o.appointment_id = p_but) IS NOT TRUE
    ) THEN
        error := 'Slot already booked';
    END IF;
END $$;
