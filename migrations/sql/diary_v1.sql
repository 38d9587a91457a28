-- The tables of the clinic's diary (models/booking/), and what calendars, holds, appointments and occupancies have
-- besides. Nothing here writes a row of the tables that there are: columns have constant defaults.

CREATE TABLE resources (
    org_id uuid NOT NULL CONSTRAINT fk_resources_org_id REFERENCES organizations (id),
    id text NOT NULL,
    kind text NOT NULL CONSTRAINT ck_resources_kind CHECK (kind IN ('person', 'room', 'device')),
    name text NOT NULL,
    time_zone text NOT NULL,
    retired_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_resources PRIMARY KEY (org_id, id)
);

CREATE TABLE services (
    org_id uuid NOT NULL CONSTRAINT fk_services_org_id REFERENCES organizations (id),
    id text NOT NULL,
    name text NOT NULL,
    words jsonb DEFAULT '[]' NOT NULL,
    position integer DEFAULT 0 NOT NULL,
    minutes integer DEFAULT 30 NOT NULL,
    minutes_before integer DEFAULT 0 NOT NULL,
    minutes_after integer DEFAULT 0 NOT NULL,
    step_minutes integer DEFAULT 30 NOT NULL,
    min_notice_minutes integer DEFAULT 0 NOT NULL,
    horizon_days integer DEFAULT 90 NOT NULL,
    most_per_day integer,
    by_phone boolean DEFAULT true NOT NULL,
    by_link boolean DEFAULT true NOT NULL,
    retired_at timestamptz,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_services PRIMARY KEY (org_id, id),
    CONSTRAINT ck_services_minutes CHECK (minutes BETWEEN 5 AND 480),
    CONSTRAINT ck_services_minutes_before CHECK (minutes_before BETWEEN 0 AND 240),
    CONSTRAINT ck_services_minutes_after CHECK (minutes_after BETWEEN 0 AND 240),
    CONSTRAINT ck_services_step_minutes CHECK (step_minutes BETWEEN 5 AND 480),
    CONSTRAINT ck_services_min_notice_minutes CHECK (min_notice_minutes >= 0),
    CONSTRAINT ck_services_horizon_days CHECK (horizon_days BETWEEN 1 AND 3660),
    CONSTRAINT ck_services_most_per_day CHECK (most_per_day >= 1)
);

CREATE TABLE service_resources (
    org_id uuid NOT NULL,
    service_id text NOT NULL,
    resource_id text NOT NULL,
    CONSTRAINT pk_service_resources PRIMARY KEY (org_id, service_id, resource_id),
    CONSTRAINT fk_service_resources_org_id_service_id
        FOREIGN KEY (org_id, service_id) REFERENCES services (org_id, id),
    CONSTRAINT fk_service_resources_org_id_resource_id
        FOREIGN KEY (org_id, resource_id) REFERENCES resources (org_id, id)
);
CREATE INDEX ix_service_resources_org_id_resource_id ON service_resources (org_id, resource_id);

CREATE TABLE resource_hours (
    id uuid DEFAULT gen_random_uuid() NOT NULL CONSTRAINT pk_resource_hours PRIMARY KEY,
    org_id uuid NOT NULL,
    resource_id text NOT NULL,
    weekday smallint NOT NULL CONSTRAINT ck_resource_hours_weekday CHECK (weekday BETWEEN 0 AND 6),
    from_minute integer NOT NULL,
    until_minute integer NOT NULL,
    room_id text,
    CONSTRAINT ck_resource_hours_minutes CHECK (
        from_minute BETWEEN 0 AND 1439 AND until_minute > from_minute AND until_minute <= from_minute + 1440
    ),
    CONSTRAINT ex_resource_hours_no_overlap EXCLUDE USING gist (
        org_id WITH =, resource_id WITH =,
        int4range(weekday * 1440 + from_minute, weekday * 1440 + until_minute) WITH &&
    ),
    CONSTRAINT fk_resource_hours_org_id_resource_id
        FOREIGN KEY (org_id, resource_id) REFERENCES resources (org_id, id),
    CONSTRAINT fk_resource_hours_org_id_room_id FOREIGN KEY (org_id, room_id) REFERENCES resources (org_id, id)
);

CREATE TABLE hours_exceptions (
    id uuid DEFAULT gen_random_uuid() NOT NULL CONSTRAINT pk_hours_exceptions PRIMARY KEY,
    org_id uuid NOT NULL CONSTRAINT fk_hours_exceptions_org_id REFERENCES organizations (id),
    resource_id text,
    day date NOT NULL,
    is_open boolean NOT NULL,
    from_minute integer,
    until_minute integer,
    room_id text,
    reason text,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT ck_hours_exceptions_minutes CHECK (
        from_minute BETWEEN 0 AND 1439 AND until_minute > from_minute AND until_minute <= from_minute + 1440
    ),
    CONSTRAINT ck_hours_exceptions_whole_or_part CHECK (
        num_nonnulls(from_minute, until_minute) = 2
        OR (NOT is_open AND num_nonnulls(from_minute, until_minute) = 0)
    ),
    CONSTRAINT fk_hours_exceptions_org_id_resource_id
        FOREIGN KEY (org_id, resource_id) REFERENCES resources (org_id, id),
    CONSTRAINT fk_hours_exceptions_org_id_room_id FOREIGN KEY (org_id, room_id) REFERENCES resources (org_id, id)
);
CREATE INDEX ix_hours_exceptions_org_id_day ON hours_exceptions (org_id, day);

CREATE TABLE blocks (
    id uuid DEFAULT gen_random_uuid() NOT NULL CONSTRAINT pk_blocks PRIMARY KEY,
    org_id uuid NOT NULL,
    resource_id text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    reason text NOT NULL CONSTRAINT ck_blocks_reason CHECK (reason ~ '\S'),
    source text DEFAULT 'desk' NOT NULL CONSTRAINT ck_blocks_source CHECK (source IN ('desk')),
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT ck_blocks_length CHECK (
        ends_at > starts_at AND ends_at <= starts_at + interval '3660 days'
    ),
    CONSTRAINT fk_blocks_org_id_resource_id FOREIGN KEY (org_id, resource_id) REFERENCES resources (org_id, id)
);
CREATE INDEX ix_blocks_org_id_resource_id_ends_at ON blocks (org_id, resource_id, ends_at);

ALTER TABLE appointment_holds
    DROP CONSTRAINT fk_appointment_holds_org_id_calendar_id_resource_id,
    ADD service_id text,
    ADD other_resources text[] DEFAULT '{}' NOT NULL,
    ADD minutes_before integer DEFAULT 0 NOT NULL,
    ADD minutes_after integer DEFAULT 0 NOT NULL;

-- Those of before were made by a call that proved its number, or by an operator's hand. The default is for
-- them alone.
ALTER TABLE appointments
    DROP CONSTRAINT fk_appointments_org_id_calendar_id_resource_id,
    ADD service_id text,
    ADD other_resources text[] DEFAULT '{}' NOT NULL,
    ADD minutes_before integer DEFAULT 0 NOT NULL,
    ADD minutes_after integer DEFAULT 0 NOT NULL,
    ADD booker text,
    ADD booked_by text DEFAULT 'phone' NOT NULL;
ALTER TABLE appointments ALTER booked_by DROP DEFAULT;

ALTER TABLE occupancies ADD block_id uuid;

ALTER TABLE calendars
    DROP CONSTRAINT uq_calendars_org_id_id_resource_id,
    ALTER resource_id DROP NOT NULL,
    ALTER hours SET DEFAULT '{}',
    ADD service_id text;
