-- Nobody may do anything unless it is granted. What each process's login may do stands in sql/grants.sql, which
-- `beacon migrate` compares with the database after the migrations, every time.
--
-- This file once made the three roles and gave them their rights. An owner without CREATEROLE couldn't run it even
-- where the roles existed, and a dump that was restored into a server without them never got them back. A database
-- that ran the file in that form is accepted by its checksum; what the old form granted, sql/grants.sql grants.
-- was: b99c9020ac2097c23b343d4397ae6cfad57dacdfbf3432998b51533861644021
-- The text of earlier releases named the schema public where this one says the schema of the migration.
-- was: 07f5002df4ef513e6c510f42cc47deb09c1741356c49e621e0ef7a14a01c02e7
DO $$ BEGIN
  EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA %I FROM PUBLIC', current_schema());
  EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA %I FROM PUBLIC', current_schema());
END $$;
