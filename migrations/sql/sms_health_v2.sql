-- One line a clinic: how its SMS are doing now.
CREATE OR REPLACE VIEW sms_health WITH (security_invoker = true) AS
SELECT o.id AS org_id,
       count(m.id) FILTER (WHERE m.status IN ('queued', 'sending')) AS waiting,
       count(m.id) FILTER (WHERE m.status IN ('queued', 'sending')
             AND (m.cause <> 'its number has been sent many texts, so it waits'
                  OR m.next_attempt_at < app_clock() - interval '1 minute')
             AND m.created_at < app_clock() - interval '1 minute') AS late,
       count(m.id) FILTER (WHERE m.status = 'unknown') AS unknown,
       count(m.id) FILTER (WHERE m.status IN ('failed', 'undelivered')) AS failed_today,
       count(m.id) FILTER (WHERE m.status = 'delivered') AS delivered_today,
       max(app_clock() - m.created_at) FILTER (WHERE m.status IN ('queued', 'sending')) AS oldest_waiting,
       s.stopped_at AS sender_stopped_at, s.stopped_code AS sender_stopped_code,
       s.stopped_reason AS sender_stopped_reason
  FROM organizations o
  LEFT JOIN sms_messages m ON m.org_id = o.id
       AND (m.created_at > app_clock() - interval '24 hours' OR m.status IN ('queued', 'sending', 'unknown'))
  LEFT JOIN sms_senders s ON s.org_id = o.id
 GROUP BY o.id, s.org_id;
