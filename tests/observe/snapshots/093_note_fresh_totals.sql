DROP VIEW IF EXISTS note_fresh_totals  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS note_fresh_totals  TO fresh_totals AS
SELECT DISTINCT name, series, time_ns, start_ns FROM point_records WHERE temporality = 'delta';
