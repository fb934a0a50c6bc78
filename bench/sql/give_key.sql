-- Gives the waiting jobs a finished job's key, because a page shows the key's id and needs a valid key.
UPDATE jobs SET public_key = o.public_key FROM jobs o WHERE o.id = 'old-1' AND jobs.status = 'queued'
