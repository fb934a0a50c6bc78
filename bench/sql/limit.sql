-- For pgbench: the same two commits and nothing else. Each client has its own jobs.
\set job :client_id * 100000 + :n
SELECT 'p' || :job AS job_id \gset
:claim \gset
SELECT 'The answer of a provider that does nothing.' AS answer \gset
:finish;
\set n :n + 1
