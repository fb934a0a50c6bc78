-- The logins of the processes, one for each kind. Roles belong to the server and not to a database, so a dump contains
-- none. `beacon migrate` creates the missing ones before it migrates; an owner without CREATEROLE asks an administrator
-- to run this file. The roles get no password here: `beacon up` sets one, and operators use \password.
CREATE ROLE beacon_api LOGIN NOINHERIT;
CREATE ROLE beacon_publisher LOGIN NOINHERIT;
CREATE ROLE beacon_worker LOGIN NOINHERIT;
CREATE ROLE beacon_analyst LOGIN NOINHERIT;
