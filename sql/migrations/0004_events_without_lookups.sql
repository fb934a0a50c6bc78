-- Four of the seven foreign keys that one execution has to satisfy in a worker are its events'. Each is looked up by itself,
-- in all an eighth of the server's work, and none can fail: every statement that writes an event takes it from the row of
-- the job that its transaction has locked or inserted. So events carry no foreign key. They still go with their job, by
-- a trigger, because no role may delete an event; and I7 of `beacon verify` looks for events of no job.
-- The text of earlier releases named the schema public where this one says the schema of the migration.
-- was: 04e5a47bac97e3f4d35dfa0a50aaefa1350fe67cb6f767e01f2326dbd7326c35
ALTER TABLE job_events DROP CONSTRAINT job_events_job_id_fkey;

CREATE FUNCTION forget_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
  DELETE FROM job_events v USING gone g WHERE v.job_id = g.id;
  RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION forget_events() FROM PUBLIC;

CREATE TRIGGER jobs_forget_events AFTER DELETE ON jobs
  REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION forget_events();
