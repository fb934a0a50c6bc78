-- The waiting jobs get the key of a finished one: a page shows the key's id, so it has to be a key.
UPDATE jobs SET public_key = o.public_key FROM jobs o WHERE o.id = 'old-1' AND jobs.status = 'queued'
