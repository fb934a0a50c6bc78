-- stored signatures still verify: each signed job's bytes as received, with the form and the key that were accepted
SELECT id AS job_id, spec_raw, public_key, signature_form FROM jobs WHERE signature_form IS NOT NULL ORDER BY created_at;
